package socketio

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hijacked starts a server that reads the request of each connection and then calls serve for it.
func hijacked(t *testing.T, serve func(conn net.Conn)) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		serve(conn)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAnUpgradeWithoutEndIsCutOff(t *testing.T) {
	url := hijacked(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\n")
		for {
			if _, err := io.WriteString(conn, "X: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
				return
			}
		}
	})
	_, err := Dial(t.Context(), both(url))
	require.ErrorIs(t, err, ErrTooLarge)
	require.ErrorContains(t, err, "message too large: more than 256 KB before the websocket was open")
}

// A server that closes the connection at any point of the handshake ends Dial before its timeout.
func TestAConnectionThatIsClosedInItsHandshakeEndsDial(t *testing.T) {
	for name, before := range map[string][]string{
		"after the websocket": {},
		"after the open":      {`0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`},
		"after one namespace": {
			`0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`, `40/queue,{"sid":"q"}`,
		},
	} {
		for how, end := range map[string]func(w *wire){
			"cut": func(w *wire) { _ = w.ws.NetConn().Close() },
			"close frame": func(w *wire) {
				_ = w.ws.WriteControl(8, nil, time.Now().Add(patience))
				_ = w.ws.NetConn().Close()
			},
			"Engine.IO close": func(w *wire) { w.send("1") },
		} {
			t.Run(name+" by "+how, func(t *testing.T) {
				url := script(t, func(w *wire) {
					w.send(before...)
					end(w)
				})
				begin := time.Now()
				_, err := Dial(t.Context(), both(url))
				require.Error(t, err)
				require.Less(t, time.Since(begin), patience, "the timeout is not what ended it")
				require.NotErrorIs(t, err, ErrNotAnswered)
			})
		}
	}
	t.Run("before the answer", func(t *testing.T) {
		_, err := Dial(t.Context(), both(hijacked(t, func(net.Conn) {})))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
	t.Run("within the answer", func(t *testing.T) {
		_, err := Dial(t.Context(), both(hijacked(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: web")
		})))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}

// gorilla reports only the text of the network's error.
func TestAResetIsKnownAsOne(t *testing.T) {
	url := script(t, func(w *wire) {
		w.greet()
		_ = w.ws.NetConn().(*net.TCPConn).SetLinger(0) //nolint:forcetypeassert // of a server without TLS
		_ = w.ws.NetConn().Close()
	})
	c := connect(t, both(url))
	<-c.Done()
	require.ErrorIs(t, c.Err(), ErrLost)
	require.ErrorIs(t, c.Err(), syscall.ECONNRESET)
}

func TestAServersMessageIsMadePrintable(t *testing.T) {
	url := script(t, func(w *wire) {
		w.send(`0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`)
		w.next()
		w.send(`44/queue,{"message":"\u001b[31mno\u202e"}`)
	})
	_, err := Dial(t.Context(), both(url))
	require.ErrorContains(t, err, `namespace /queue refused: \x1b[31mno\u202e`)
}
