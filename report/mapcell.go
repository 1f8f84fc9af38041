package report

import (
	"slices"
	"strconv"
	"strings"

	"berth.dev/berth/coverage"
)

// cellSayings is what is said of the cells of one DaemonSet, each thing worked out once.
type cellSayings struct {
	explained *Explanation
	said      map[string]*cellSaying
	key       []byte
}

// cellSaying is one of them; its number is 0 until it has one.
type cellSaying struct {
	reason MapReason
	number int
}

func newCellSayings(e *Explanation) *cellSayings {
	about := *e
	about.Node = &ExplainedNode{} // whose own labels are left to explain
	return &cellSayings{explained: &about, said: map[string]*cellSaying{}}
}

// of is what is said of a node.
func (c *cellSayings) of(n *coverage.Node) *cellSaying {
	c.key = append(append(append(c.key[:0], n.State...), 0), n.Reason...)
	if w := n.Why; w != nil { // Reason is the first thing in the way, and here all count
		c.key = append(append(c.key, 0), w.NodeName...)
		for _, list := range [][]string{w.Labels, w.Taints} {
			c.key = append(c.key, 0)
			for _, text := range list {
				c.key = append(append(c.key, text...), 0)
			}
		}
		for i := range w.Terms {
			c.key = append(append(c.key, 0), w.Terms[i].String()...)
		}
	}
	if said := c.said[string(c.key)]; said != nil {
		return said
	}
	said := &cellSaying{reason: MapReason{State: n.State, Lines: c.lines(n)}}
	if n.State == coverage.Excluded {
		said.reason.By = c.excludedBy(n.Why)
	}
	c.said[string(c.key)] = said
	return said
}

// lines are those that explain has of one node, without the names.
func (c *cellSayings) lines(n *coverage.Node) []string {
	var text strings.Builder
	text.WriteString(lookOf(n.State, false).Meaning)
	if n.Why == nil && n.Reason != "" {
		text.WriteString(": " + oneLine(n.Reason))
	}
	text.WriteString(".\n")
	if n.Why != nil {
		c.explained.inTheWay(&text, n.Why)
	}
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

// itsAuthor is who wrote what no policy did.
const itsAuthor = "its author"

// excludedBy is who wrote what keeps pods off the node: its author, policy a.
func (c *cellSayings) excludedBy(why *coverage.Why) string {
	var by []string
	add := func(who string) {
		if !slices.Contains(by, who) {
			by = append(by, who)
		}
	}
	if why.NodeName != "" {
		add(itsAuthor)
	}
	for _, label := range why.Labels {
		add(c.writer("nodeSelector", label))
	}
	for i, term := range why.Terms {
		for _, expression := range term.Expressions {
			add(c.writer(termField(i), expression))
		}
		if len(term.Expressions) == 0 {
			add(itsAuthor) // berth never writes an empty term
		}
	}
	slices.Sort(by) // its author comes before policies
	return strings.Join(by, ", ")
}

// writer is who wrote something in the pod template.
func (c *cellSayings) writer(field, what string) string {
	for i := range c.explained.Placement {
		w := &c.explained.Placement[i]
		if w.What != what || shortField(w.Field) != field || w.By == Author {
			continue
		}
		if w.Policy == "" {
			return "policy that was not recorded"
		}
		return "policy " + w.Policy
	}
	return itsAuthor
}

// termField is the short name of a term, see shortField.
func termField(i int) string { return "nodeSelectorTerms[" + strconv.Itoa(i) + "]" }
