package browser

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
)

// Page is one page of a browser.
type Page struct {
	browser *Browser
	session string
}

// Open opens an address and waits until the page has loaded. Every request that it makes, and what it says on its console,
// becomes an event; and what it costs is counted.
func (b *Browser) Open(ctx context.Context, address string, width, height int) (*Page, error) {
	var target struct {
		ID string `json:"targetId"`
	}
	if err := b.call(ctx, command{"", "Target.createTarget", map[string]any{"url": "about:blank"}, &target}); err != nil {
		return nil, err
	}
	var attached struct {
		Session string `json:"sessionId"`
	}
	if err := b.call(ctx, command{"", "Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true}, &attached}); err != nil {
		return nil, err
	}
	p := &Page{b, attached.Session}
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		if err := p.Call(ctx, domain+".enable", nil, nil); err != nil {
			return nil, err
		}
	}
	if err := p.Call(ctx, "Performance.enable", map[string]any{"timeDomain": "threadTicks"}, nil); err != nil {
		return nil, err // it counts from here on
	}
	if err := p.Resize(ctx, width, height); err != nil {
		return nil, err
	}
	if err := p.Call(ctx, "Page.navigate", map[string]any{"url": address}, nil); err != nil {
		return nil, err
	}
	return p, b.await(ctx, p.session, "Page.loadEventFired")
}

// Call says something to the page in the words of the protocol.
func (p *Page) Call(ctx context.Context, method string, params, result any) error {
	return p.browser.call(ctx, command{p.session, method, params, result})
}

// Resize makes the window this large.
func (p *Page) Resize(ctx context.Context, width, height int) error {
	return p.Call(ctx, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
}

// Media takes the page for one on a screen or on paper, in light or in dark colours.
func (p *Page) Media(ctx context.Context, media, colours string) error {
	return p.Call(ctx, "Emulation.setEmulatedMedia", map[string]any{
		"media": media, "features": []map[string]string{{"name": "prefers-color-scheme", "value": colours}},
	}, nil)
}

// Eval evaluates an expression, waits for it where it is a promise, and decodes its value.
func (p *Page) Eval(ctx context.Context, expression string, value any) error {
	var said struct {
		Result    struct{ Value json.RawMessage }
		Exception *struct {
			Text      string
			Exception struct{ Description string }
		} `json:"exceptionDetails"`
	}
	err := p.Call(ctx, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &said)
	switch {
	case err != nil:
		return err
	case said.Exception != nil:
		return errors.New(said.Exception.Text + " " + said.Exception.Exception.Description)
	case value == nil || said.Result.Value == nil:
		return nil
	}
	return json.Unmarshal(said.Result.Value, value)
}

// codes are those of the keys that have no letter.
var codes = map[string]int{
	"Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
	"End": 35, "Home": 36, "PageUp": 33, "PageDown": 34,
}

// Press presses keys, one after the other.
func (p *Page) Press(ctx context.Context, keys ...string) error {
	for _, key := range keys {
		for _, kind := range []string{"keyDown", "keyUp"} {
			press := map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
			if err := p.Call(ctx, "Input.dispatchKeyEvent", press, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Type types a text into what has the focus.
func (p *Page) Type(ctx context.Context, text string) error {
	return p.Call(ctx, "Input.insertText", map[string]any{"text": text}, nil)
}

// Screenshot writes a PNG file.
func (p *Page) Screenshot(ctx context.Context, file string) error {
	var shot struct{ Data []byte }
	if err := p.Call(ctx, "Page.captureScreenshot", nil, &shot); err != nil {
		return err
	}
	return os.WriteFile(file, shot.Data, 0o600)
}

// Events is what the page has done so far, of these methods.
func (p *Page) Events(methods ...string) []Event {
	p.browser.mutex.Lock()
	defer p.browser.mutex.Unlock()
	var all []Event
	for _, event := range p.browser.events[p.session] {
		if slices.Contains(methods, event.Method) {
			all = append(all, event)
		}
	}
	return all
}

// Complaints is what the page has said on its console, and every exception.
func (p *Page) Complaints() string {
	var all []string
	for _, event := range p.Events("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded") {
		all = append(all, string(event.Params))
	}
	return strings.Join(all, "\n")
}
