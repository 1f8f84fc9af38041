package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func printText(text string) { fmt.Println(text) }

func heading(text string) {
	printText("\n" + bold(text))
}

// prompt shows a command as one would type it.
func prompt(program string, args []string) {
	words := []string{"$ " + program}
	for _, arg := range args {
		if strings.ContainsAny(arg, " {}[]*?") {
			arg = "'" + arg + "'"
		}
		words = append(words, arg)
	}
	printText(strings.Join(words, " "))
}

func done(what, how string, began time.Time) {
	printText(fmt.Sprintf("%-14s %s (%.1f s)", what, how, time.Since(began).Seconds()))
}

// table shows every node, its label, and the pod on it.
func table(nodes []corev1.Node, pods map[string]*corev1.Pod) {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(out, "\n  NODE\tLABEL\tPOD\tSTATUS")
	for i := range nodes {
		label, name, phase := "-", "-", "-"
		if value, ok := nodes[i].Labels["app"]; ok {
			label = "app=" + value
		}
		if pod := pods[nodes[i].Name]; pod != nil {
			name, phase = pod.Name, string(pod.Status.Phase)
		}
		fmt.Fprintf(out, "  %s\t%s\t%s\t%s\n", nodes[i].Name, label, name, phase)
	}
	out.Flush()
	printText(fmt.Sprintf("  %d of %d nodes", len(pods), len(nodes)))
}

// bold is only for terminals that want it.
func bold(text string) string {
	info, err := os.Stdout.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return text
	}
	return "\033[1m" + text + "\033[0m"
}
