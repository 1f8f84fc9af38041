package browser_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"berth.dev/berth/e2e/browser"
)

// The command and the browser that all tests share; without the browser, why there is none.
var (
	berthBinary string
	chromium    *browser.Browser
	noChromium  error
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // TestMain is a main
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "berth-browser-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if chromium, noChromium = browser.Start(ctx, filepath.Join(dir, "profile")); noChromium != nil {
		return m.Run(), nil // they skip, and say so
	}
	defer chromium.Stop()
	berthBinary = filepath.Join(dir, "berth")
	if said, err := exec.CommandContext(ctx, "go", "build", "-o", berthBinary, "../../cmd/berth").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build berth: %w\n%s", err, said)
	}
	return m.Run(), nil
}

// tab is a page, and the test or benchmark that it fails.
type tab struct {
	*browser.Page
	t   testing.TB
	ctx context.Context //nolint:containedctx // of the test
}

// open draws the map of a file and opens it.
func open(t testing.TB, input string, width, height int) *tab {
	t.Helper()
	if errors.Is(noChromium, browser.ErrNone) {
		t.Skip(noChromium)
	} else if noChromium != nil {
		t.Fatal(noChromium)
	}
	page := filepath.Join(t.TempDir(), "map.html")
	if said, err := exec.Command(berthBinary, "map", "-f", input, "-o", "html="+page).CombinedOutput(); err != nil {
		t.Fatalf("berth map: %v\n%s", err, said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p, err := chromium.Open(ctx, "file://"+page, width, height)
	if err != nil {
		t.Fatal(err)
	}
	return &tab{p, t, ctx}
}

func (p *tab) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// text is what an expression comes to.
func (p *tab) text(expression string) (value string) {
	p.t.Helper()
	p.do(p.Eval(p.ctx, "String("+expression+")", &value))
	return value
}

func (p *tab) number(expression string) (value float64) {
	p.t.Helper()
	p.do(p.Eval(p.ctx, expression, &value))
	return value
}

func (p *tab) expect(expression, want string) {
	p.t.Helper()
	if diff := cmp.Diff(want, p.text(expression)); diff != "" {
		p.t.Errorf("%s (-want +got):\n%s", expression, diff)
	}
}

// frame waits until what has changed is drawn.
func (p *tab) frame() {
	p.t.Helper()
	p.do(p.Eval(p.ctx, "new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done))))", nil))
}

// shot keeps a picture where BERTH_SCREENSHOTS says, for people to look at.
func (p *tab) shot(name string) {
	p.t.Helper()
	if dir := os.Getenv("BERTH_SCREENSHOTS"); dir != "" {
		p.frame()
		p.do(p.Screenshot(p.ctx, filepath.Join(dir, name+".png")))
	}
}

// quiet is that the page has asked nobody for anything, and has nothing to complain of.
func (p *tab) quiet() {
	p.t.Helper()
	if said := p.Complaints(); said != "" {
		p.t.Errorf("the console says: %s", said)
	}
	for _, event := range p.Events("Network.requestWillBeSent") {
		var sent struct{ Request struct{ URL string } }
		if err := json.Unmarshal(event.Params, &sent); err != nil || !strings.HasPrefix(sent.Request.URL, "file://") || !strings.HasSuffix(sent.Request.URL, "/map.html") {
			p.t.Errorf("the page asks for %s (%v)", sent.Request.URL, err)
		}
	}
}

const (
	example = "../../docs/map-example.yaml"
	// names and nodes are what the headings in sight say.
	names = `[...document.querySelectorAll('.row:not(.head):not(.space) .name')].map((e) => e.textContent).join(' ')`
	nodes = `[...document.querySelectorAll('.node')].map((e) => e.textContent).join(' ')`
	// focus is the place that has it, and said what the details say.
	focus = `document.activeElement.getAttribute('aria-label')`
	said  = `[...document.querySelectorAll('#said > *')].map((e) => e.textContent).join('|')`
)

func (p *tab) set(id, value string) {
	p.t.Helper()
	p.do(p.Eval(p.ctx, fmt.Sprintf(`(() => { const e = document.getElementById(%q); e.value = %q; e.dispatchEvent(new Event('input', { bubbles: true })); })()`, id, value), nil))
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(p.Eval(p.ctx, fmt.Sprintf("document.querySelector(%q).click()", selector), nil))
	p.frame()
}

func TestThePageFilters(t *testing.T) {
	p := open(t, example, 1400, 900)
	allNodes := "general-1 general-2 general-3+3 general-4 gpu-1 gpu-2 storage-1 storage-2 storage-3"
	allNames := "example device-plugin agent node-exporter profiler csi-node"
	p.expect(names, allNames)
	p.expect(nodes, allNodes)
	p.expect(`document.querySelector('.numbers').innerText.replace(/\s+/g, ' ')`, "12 nodes 6 DaemonSets 33 of 38 running 2 on the way 3 missing")

	p.set("text", "EXAMPLE")
	p.expect(names, "example")
	p.expect(nodes, allNodes)
	p.set("text", "general-5") // one of a column
	p.expect(names, allNames)
	p.expect(nodes, "general-5")
	p.set("text", "nothing is named so")
	p.expect(names, "")
	p.set("text", "")
	p.set("namespace", "monitoring")
	p.expect(names, "node-exporter profiler")
	p.set("pool", "1")
	p.expect(nodes, "gpu-1 gpu-2")
	p.click("#reset")
	p.expect(names, allNames)
	p.expect(nodes, allNodes)

	p.click(`.chip[data-class="missing"]`)
	p.expect(names, "agent")
	p.expect(nodes, "general-4")
	p.click(`.chip[data-class="unschedulable"]`)
	p.expect(names, "agent csi-node")
	p.expect(nodes, "general-4 storage-3")
	p.expect(`document.querySelectorAll('.row .dim').length`, "2")
	p.expect(`document.getElementById('shown').textContent`, "Showing 2 of 6 DaemonSets and 2 of 12 nodes.")
	p.click("#reset")
	p.click("#fold")
	p.expect(nodes, strings.Replace(allNodes, "general-3+3 general-4", "general-3 general-4 general-5 general-6 general-7", 1))
	p.quiet()
}

func TestThePageIsReadWithTheKeyboard(t *testing.T) {
	p := open(t, example, 1400, 900)
	p.expect(`document.querySelectorAll('#grid [tabindex="0"]').length`, "1") // one stop for Tab
	for range 40 {                                                            // there are filters before it
		if p.do(p.Press(p.ctx, "Tab")); p.text(`document.activeElement.closest('#grid') !== null`) == "true" {
			break
		}
	}
	p.expect(focus, "demo/example on node general-1: Leaving")
	p.do(p.Press(p.ctx, "ArrowRight"))
	p.expect(focus, "demo/example on node general-2: Running")
	p.do(p.Press(p.ctx, "ArrowRight"))
	p.expect(focus, "demo/example on 4 nodes, as general-3: Excluded by a policy, by policy own-label")
	p.do(p.Press(p.ctx, "Enter"))
	p.expect(said, "demo/example|pExcluded by a policy|No pod runs here, and none should: the node is not selected.|"+
		"The node has no label app=example, which berth wrote for policy own-label (the DaemonSet's spec.selector).|"+
		"PoolgeneralZoneeu-1bExcluded bypolicy own-labelRequests50m CPU, 64Mi memory|The same on 4 nodesgeneral-3general-5general-6general-7")
	p.expect(focus, "demo/example on 4 nodes, as general-3: Excluded by a policy, by policy own-label")
	p.do(p.Press(p.ctx, "ArrowDown", "ArrowDown", "ArrowRight")) // over two namespaces
	p.expect(focus, "logging/agent on node general-4: Missing")
	p.expect(`document.querySelectorAll('#said p')[1].textContent`,
		"A pod should run here, and does not: container agent: image registry.example/agent:2 cannot be pulled (ImagePullBackOff).")
	p.shot("details-light")
	p.do(p.Press(p.ctx, "Home", "ArrowLeft"))
	p.expect(focus, "logging/agent: runs on 7 of 9 nodes")
	p.expect(`said.innerText.includes('nodeSelectorTerms[0]: karpenter.sh/nodepool In [general, gpu], by berth for policy platform-pool (its nodeRequirements)')`, "true")
	p.shot("details-daemonset")
	p.do(p.Press(p.ctx, "Escape"))
	p.expect(`document.getElementById('details').hidden`, "true")
	p.expect(focus, "logging/agent: runs on 7 of 9 nodes")
	p.do(p.Press(p.ctx, "End", "PageUp", "ArrowUp", "Enter"))
	p.expect(focus, "node storage-3, pool storage, zone eu-1b")
	p.expect(`said.querySelector('ul').innerText.replaceAll('\n', '; ')`, "demo/example: on its way; storage/csi-node: unschedulable")
	p.quiet()
}

func TestThePageInLightAndDarkOnPaperAndOnAPhone(t *testing.T) {
	p := open(t, example, 1400, 900)
	const page, missing = "getComputedStyle(document.body).backgroundColor", "getComputedStyle(document.querySelector('.row .missing')).backgroundColor"
	p.do(p.Media(p.ctx, "screen", "light"))
	p.expect(page+" + "+missing, "rgb(255, 255, 255)rgb(179, 38, 30)")
	p.shot("light")
	p.do(p.Media(p.ctx, "screen", "dark"))
	p.expect(page+" + "+missing, "rgb(20, 24, 29)rgb(229, 83, 75)")
	p.frame() // the page hears of it with the next one
	p.expect(`document.getElementById('theme').ariaPressed`, "true")
	p.shot("dark")
	p.click("#theme")
	p.expect(page, "rgb(255, 255, 255)")
	p.click("#theme")
	p.expect(page, "rgb(20, 24, 29)")

	p.do(p.Media(p.ctx, "print", "dark"))
	p.do(p.Eval(p.ctx, "dispatchEvent(new Event('beforeprint'))", nil))
	p.expect("getComputedStyle(document.querySelector('#print .missing')).backgroundColor", "rgb(179, 38, 30)") // paper is white
	p.expect("document.querySelectorAll('#print tbody tr').length", "6")
	p.expect("getComputedStyle(document.querySelector('#filters label')).display", "none")
	p.shot("print")
	p.do(p.Eval(p.ctx, "dispatchEvent(new Event('afterprint'))", nil))
	p.do(p.Media(p.ctx, "screen", "light"))
	p.do(p.Resize(p.ctx, 420, 860))
	p.frame()
	p.expect("document.documentElement.scrollWidth <= 420", "true") // the grid scrolls, and not the page
	p.do(p.Eval(p.ctx, "document.getElementById('grid').scrollIntoView()", nil))
	p.click(".row .missing")
	p.shot("narrow")
	p.quiet()
}

func TestWhatUsersWriteIsTextOnThePage(t *testing.T) {
	evil := `</script><img src=x onerror=alert(1)><b>&amp;"'` + "`${1}"
	input := filepath.Join(t.TempDir(), "<b>evil.yaml")
	content, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": "evil", "uid": "evil", "namespace": "logging", "ownerReferences": []map[string]any{{"uid": "agent", "kind": "DaemonSet", "controller": true}}},
		"spec":     map[string]any{"nodeName": "general-4"},
		"status":   map[string]any{"phase": "Failed", "message": evil},
	})
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for document := range strings.SplitSeq(string(content), "---\n") {
		if !strings.Contains(document, "agent-general-4") {
			kept = append(kept, document)
		}
	}
	if err := os.WriteFile(input, []byte(strings.Join(append(kept, string(encoded)), "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	p := open(t, input, 1400, 900)
	p.expect("document.querySelector('h1').textContent", "<b>evil.yaml")
	p.click(".row .missing")
	p.expect(`document.querySelectorAll('#said p')[1].textContent`, "A pod should run here, and does not: the pod has ended: "+evil+".")
	p.expect("document.images.length + document.querySelectorAll('b').length", "1") // the b of a column's count
	p.quiet()
}
