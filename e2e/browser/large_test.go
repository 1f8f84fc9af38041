package browser_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// large has nodes by hundreds, no two of which are alike.
func large(t testing.TB, nodes, daemonSets int) string {
	t.Helper()
	const labels = 24
	dice := rand.New(rand.NewPCG(1, 2))
	var text strings.Builder
	for i := range nodes {
		fmt.Fprintf(&text, "---\n{apiVersion: v1, kind: Node, metadata: {name: ip-10-0-%d-%d.internal, labels: {karpenter.sh/nodepool: pool-%d, topology.kubernetes.io/zone: eu-1%c", i/256, i%256, i%7, 'a'+rune(i%3))
		for l := range labels {
			if dice.IntN(2) == 0 {
				fmt.Fprintf(&text, ", l%d: x", l)
			}
		}
		text.WriteString("}}}\n")
	}
	for i := range daemonSets {
		fmt.Fprintf(&text, "---\n{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: daemon-%d, namespace: team-%d}, spec: {template: {spec: {nodeSelector: {l%d: x}}}}}\n", i, i%12, i%labels)
	}
	file := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const elements = "document.querySelectorAll('*').length"

// What is in the document is what is in sight, however large the map is.
func TestALargePageHasInItWhatIsInSight(t *testing.T) {
	p := open(t, large(t, 500, 100), 1600, 1000)
	p.expect("document.getElementById('shown').textContent", "Showing 100 of 100 DaemonSets and 500 of 500 nodes.")
	p.frame()
	atFirst := p.number(elements)
	p.do(p.Eval(p.ctx, "document.getElementById('grid').scrollTo(5000, 1000)", nil))
	p.frame()
	scrolled := p.number(elements)
	t.Logf("%.0f elements, %.0f when scrolled", atFirst, scrolled)
	if most := 3000.0; atFirst > most || scrolled > most {
		t.Errorf("%.0f elements at first and %.0f when scrolled: want at most %.0f", atFirst, scrolled, most)
	}
	p.filter()
	p.shot("large")
	p.quiet()
}

// Opening draws once: to find out how much room there is takes no drawing.
func TestALargePageIsDrawnOnce(t *testing.T) {
	p := open(t, large(t, 500, 100), 1600, 1000)
	const count = `window.taken = 0;
	new MutationObserver((changes) => {
		for (const change of changes) for (const e of change.removedNodes) if (e.classList?.contains('row')) taken++;
	}).observe(document, { childList: true, subtree: true });`
	p.do(p.Call(p.ctx, "Page.addScriptToEvaluateOnNewDocument", map[string]string{"source": count}, nil))
	p.do(p.Call(p.ctx, "Page.navigate", map[string]string{"url": p.text("location.href")}, nil))
	p.do(p.Eval(p.ctx, "new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', done))", nil))
	p.frame()
	if rows := p.number("document.querySelectorAll('.row').length"); rows < 20 {
		t.Errorf("%.0f rows are drawn", rows)
	}
	if taken := p.number("taken"); taken > 0 {
		t.Errorf("%.0f rows were drawn and taken away again", taken)
	}
	p.quiet()
}

// filter leaves 11 of the 100 DaemonSets.
func (p *tab) filter() {
	p.t.Helper()
	p.set("text", "daemon-7")
	p.frame()
	p.expect("document.getElementById('shown').textContent", "Showing 11 of 100 DaemonSets and 500 of 500 nodes.")
}

// BenchmarkLargePage opens 500 nodes × 100 DaemonSets, and filters them. The longest task is by the clock, and so are tasks
// below 50 ms not seen; the others are the time that a processor works.
func BenchmarkLargePage(b *testing.B) {
	const longest = `new Promise((done) => {
		let most = 0;
		new PerformanceObserver((list) => { for (const e of list.getEntries()) most = Math.max(most, e.duration); }).observe({ type: 'longtask', buffered: true });
		setTimeout(() => done(most), 100);
	})`
	input := large(b, 500, 100)
	var opened, filtered, task float64
	for b.Loop() {
		p := open(b, input, 1600, 1000)
		p.frame()
		before := p.worked()
		p.filter()
		opened += before
		filtered += p.worked() - before
		task = max(task, p.number(longest))
	}
	b.ReportMetric(opened*1000/float64(b.N), "open-ms")
	b.ReportMetric(filtered*1000/float64(b.N), "filter-ms")
	b.ReportMetric(task, "longest-task-ms")
}

// worked is for how many seconds a processor has worked for the page, whoever else there is.
func (p *tab) worked() float64 {
	p.t.Helper()
	var said struct {
		Metrics []struct {
			Name  string
			Value float64
		}
	}
	p.do(p.Call(p.ctx, "Performance.getMetrics", nil, &said))
	for _, metric := range said.Metrics {
		if metric.Name == "TaskDuration" {
			return metric.Value
		}
	}
	p.t.Fatal("the browser does not say how long it has worked")
	return 0
}
