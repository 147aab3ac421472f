package loadtest_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
)

// answerLimit is how long a test waits for one answer of the browser.
const answerLimit = 30 * time.Second

// browser is a headless Chromium that is driven over its DevTools protocol: a message names a method, and its answer has the same id.
type browser struct {
	socket *websocket.Conn

	mu      sync.Mutex
	last    int // id
	waiting map[int]chan message
	pages   map[string]*page // by session
}

// message is one of the DevTools protocol, in either direction.
type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// devtools is the line in which Chromium says where it listens.
var devtools = regexp.MustCompile(`^DevTools listening on (ws://\S+)$`)

// startBrowser starts Chromium. It ends with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		require.Empty(t, os.Getenv("VERITY_NO_SKIP"), "chromium is not installed")
		t.Skip("skipped, not tested: how a browser shows the report; chromium is not installed (it is in Debian's package chromium)")
	}
	// As root there is no sandbox; what is opened is the project's own.
	cmd := exec.CommandContext(suite, program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", // #nosec G204 -- Debian's
		"--remote-debugging-port=0", "--user-data-dir="+t.TempDir(), "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-extensions", "--hide-scrollbars", "about:blank")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stderr)
	address := ""
	for address == "" && lines.Scan() {
		if found := devtools.FindStringSubmatch(lines.Text()); found != nil {
			address = found[1]
		}
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() { // what else it says is of no use
		}
	}()
	b := &browser{waiting: map[int]chan message{}, pages: map[string]*page{}}
	t.Cleanup(func() {
		if b.socket != nil {
			_ = b.socket.WriteJSON(message{ID: -1, Method: "Browser.close"}) // it ends its children too
			select {
			case <-drained:
			case <-time.After(10 * time.Second):
				_ = cmd.Process.Kill()
			}
			_ = b.socket.Close()
		}
		_ = cmd.Wait()
	})
	require.NotEmpty(t, address, "Chromium ended before it listened")
	socket, response, err := websocket.DefaultDialer.DialContext(t.Context(), address, nil)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	b.socket = socket
	go b.read()
	return b
}

// read dispatches the messages of the browser until the connection ends.
func (b *browser) read() {
	for {
		var m struct {
			message

			Params json.RawMessage `json:"params"`
		}
		if err := b.socket.ReadJSON(&m); err != nil {
			return
		}
		b.mu.Lock()
		answer, from := b.waiting[m.ID], b.pages[m.Session]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case m.ID != 0 && answer != nil:
			answer <- m.message
		case m.Method != "" && from != nil:
			from.note(m.Method, m.Params)
		}
	}
}

// call calls a method, of a page where a session is named, and reads its result.
func (b *browser) call(t *testing.T, session, method string, params, into any) {
	t.Helper()
	answer := make(chan message, 1)
	b.mu.Lock()
	b.last++
	id := b.last
	b.waiting[id] = answer
	err := b.socket.WriteJSON(message{ID: id, Session: session, Method: method, Params: params})
	b.mu.Unlock()
	require.NoError(t, err)
	select {
	case m := <-answer:
		require.Nil(t, m.Error, "%s: %+v", method, m.Error)
		if into != nil {
			require.NoError(t, json.Unmarshal(m.Result, into))
		}
	case <-time.After(answerLimit):
		require.FailNow(t, "the browser does not answer", method)
	}
}

// look is how a page is opened.
type look struct {
	width     int
	dark      bool
	print     bool // as a printer has it
	noScripts bool
	scale     float64 // pixels of the device for one of the page; 0: 1
}

// page is one that is open.
type page struct {
	b       *browser
	session string

	mu       sync.Mutex
	requests []string // but those for data:
	errors   []string // of the console, and exceptions
}

const pageHeight = 900

// open opens a file.
func (b *browser) open(t *testing.T, path string, as look) *page {
	t.Helper()
	var target struct{ TargetID string }
	b.call(t, "", "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call(t, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &page{b: b, session: attached.SessionID}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	t.Cleanup(func() { b.call(t, "", "Target.closeTarget", map[string]any{"targetId": target.TargetID}, nil) })
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		p.call(t, domain+".enable", nil, nil)
	}
	scheme, media := "light", ""
	if as.dark {
		scheme = "dark"
	}
	if as.print {
		media = "print"
	}
	p.call(t, "Emulation.setEmulatedMedia", map[string]any{
		"media": media, "features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
	p.call(t, "Emulation.setDeviceMetricsOverride", map[string]any{
		"width": as.width, "height": pageHeight, "deviceScaleFactor": max(as.scale, 1), "mobile": false,
	}, nil)
	p.call(t, "Emulation.setScriptExecutionDisabled", map[string]any{"value": as.noScripts}, nil)
	path, err := filepath.Abs(path)
	require.NoError(t, err)
	p.call(t, "Page.navigate", map[string]any{"url": "file://" + path}, nil)
	require.Eventually(t, func() bool {
		var isLoaded bool
		p.evaluate(t, `location.protocol === 'file:' && document.readyState === 'complete'`, &isLoaded)
		return isLoaded
	}, answerLimit, 20*time.Millisecond, "the page does not load: %s", path)
	return p
}

func (p *page) call(t *testing.T, method string, params, into any) {
	t.Helper()
	p.b.call(t, p.session, method, params, into)
}

// note records the requests and errors that the browser reports for the page.
func (p *page) note(method string, params json.RawMessage) {
	var event struct {
		Type    string // of a call of the console
		Request struct{ URL string }
		Entry   struct{ Level, Text string }
	}
	_ = json.Unmarshal(params, &event) // an event of another form has none of these
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case method == "Network.requestWillBeSent" && !strings.HasPrefix(event.Request.URL, "data:"):
		p.requests = append(p.requests, event.Request.URL)
	case method == "Runtime.exceptionThrown", method == "Runtime.consoleAPICalled",
		method == "Log.entryAdded" && event.Entry.Level != "verbose" && event.Entry.Level != "info":
		p.errors = append(p.errors, method+": "+string(params))
	}
}

// heard returns the requests that the page made, and its errors.
func (p *page) heard() (requests, errors []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests, p.errors
}

// evaluate evaluates an expression on the page, even if the page's own scripts are off.
func (p *page) evaluate(t *testing.T, expression string, into any) {
	t.Helper()
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Exception struct{ Description string }
		}
	}
	p.call(t, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &answer)
	require.Nil(t, answer.ExceptionDetails, "%+v", answer.ExceptionDetails)
	if into != nil {
		require.NoError(t, json.Unmarshal(answer.Result.Value, into), "%s", answer.Result.Value)
	}
}

// mouse moves the mouse to a place, with a button down or not.
func (p *page) mouse(t *testing.T, kind string, x, y float64) {
	t.Helper()
	button, buttons, clicks := "none", 0, 0
	if kind != "mouseMoved" {
		button, buttons, clicks = "left", 1, 1
	}
	p.call(t, "Input.dispatchMouseEvent", map[string]any{
		"type": kind, "x": x, "y": y, "button": button, "buttons": buttons, "clickCount": clicks,
	}, nil)
}

// shot returns a screenshot of the page from its top, with this height in pixels; 0 means the whole page.
func (p *page) shot(t *testing.T, height int) []byte {
	t.Helper()
	var size struct{ Width, Height float64 }
	p.evaluate(t, `({width: innerWidth, height: document.documentElement.scrollHeight})`, &size)
	if height > 0 {
		size.Height = float64(height)
	}
	var picture struct{ Data string }
	p.call(t, "Page.captureScreenshot", map[string]any{
		"format": "png", "captureBeyondViewport": true,
		"clip": map[string]any{"x": 0, "y": 0, "width": size.Width, "height": size.Height, "scale": 1},
	}, &picture)
	png, err := base64.StdEncoding.DecodeString(picture.Data)
	require.NoError(t, err)
	return png
}
