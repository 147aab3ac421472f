package socketio

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/plain"
)

// The defaults of Options.
const (
	// defaultTimeout is the reference client's.
	defaultTimeout = 20 * time.Second
	// defaultReadLimit is the reference server's own limit, 1 MB, and more than Verity sends.
	defaultReadLimit = 1_000_000
)

// Options says where and how Dial connects, and has the callbacks for received events.
type Options struct {
	// URL is the origin of the service: scheme http, https, ws or wss, host and optional port; no path, query or credentials.
	URL string
	// Namespaces are joined over this one connection, in this order.
	Namespaces []string
	// Auth is sent with each CONNECT; Verity reads {"token": <access token>}. Its values never appear in an error.
	Auth map[string]string
	// Header is added to the opening request. An Authorization header takes precedence over Auth, and its credentials never
	// appear in an error.
	Header http.Header

	// Dialer opens the TCP connection; nil means a net.Dialer.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLSConfig is for https and wss; nil means Go's defaults. HTTP/2 is never negotiated.
	TLSConfig *tls.Config
	// Proxy returns the proxy for a request, as in http.Transport; nil means none.
	Proxy func(*http.Request) (*url.URL, error)

	// Timeout bounds Dial, on top of its context; 0 means 20 s.
	Timeout time.Duration
	// ReadLimit is the largest message to accept, in bytes; a larger one ends the connection. 0 means 1 MB.
	ReadLimit int64

	// Wants reports whether an event is decoded and passed to OnEvent. It is called for each event, also to count it; for
	// false, only the name has been parsed. The name is valid only during the call. nil wants every event.
	Wants func(namespace string, event []byte) bool
	// OnEvent gets the wanted events in the order of their arrival.
	OnEvent func(Event)
	// onAck gets acknowledgements; for tests.
	onAck func(id int64, args []json.RawMessage)
	// OnClose gets why the connection ended, once and as the last callback. It may run before Dial has returned the Client,
	// and does not run if Dial fails.
	OnClose func(error)

	// Callbacks run one at a time on the goroutine that reads. At first that is Dial's, as events may arrive before all
	// namespaces are joined; then it is the client's own. While a callback runs, nothing is read and no ping is answered:
	// it must be quick and must not wait for the Client (Close only in a goroutine).
}

// endpoint returns the websocket URL, and the host for error messages.
func (o *Options) endpoint() (endpoint, host string, err error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		return "", "", errors.New("the URL does not parse") // url.Parse quotes what may be a credential
	}
	scheme, known := map[string]string{"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}[u.Scheme]
	switch {
	case !known || u.Host == "":
		return "", "", fmt.Errorf("the URL has scheme %q and host %q; it takes http://HOST[:PORT] or https://HOST[:PORT]", u.Scheme, u.Host)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", "", fmt.Errorf("the URL of %s has credentials, a query or a fragment; it takes none", u.Host)
	case strings.Trim(u.Path, "/") != "":
		return "", "", fmt.Errorf("the URL of %s has the path %q, which would be lost: Socket.IO listens at %s", u.Host, u.Path, Path)
	}
	return scheme + "://" + u.Host + Path + "?EIO=4&transport=websocket", u.Host, nil
}

// check refuses options that cannot work.
func (o *Options) check() error {
	if len(o.Namespaces) == 0 {
		return errors.New("no namespace to join")
	}
	for i, name := range o.Namespaces {
		if !strings.HasPrefix(name, "/") || strings.Contains(name, ",") {
			return fmt.Errorf("namespace %q does not start with / or contains a comma", name)
		}
		if slices.Contains(o.Namespaces[:i], name) {
			return fmt.Errorf("namespace %q is given twice; the server would close the connection", name)
		}
	}
	if o.Timeout < 0 || o.ReadLimit < 0 {
		return fmt.Errorf("timeout %s or read limit %d is negative", o.Timeout, o.ReadLimit)
	}
	return nil
}

// tlsConfig returns TLSConfig limited to HTTP/1.1: gorilla cannot open a websocket over HTTP/2.
func (o *Options) tlsConfig() *tls.Config {
	if o.TLSConfig == nil || len(o.TLSConfig.NextProtos) == 0 {
		return o.TLSConfig
	}
	config := o.TLSConfig.Clone()
	config.NextProtos = []string{"http/1.1"}
	return config
}

// authData returns the data of a CONNECT packet.
func (o *Options) authData() []byte {
	if len(o.Auth) == 0 {
		return nil
	}
	data, _ := json.Marshal(o.Auth) // strings always marshal
	return data
}

// secrets are the texts that must not appear in an error; a server may echo them.
type secrets []string

func (o *Options) secrets() secrets {
	s := make(secrets, 0, len(o.Auth)+1)
	for _, value := range o.Auth {
		s = append(s, value)
	}
	for _, value := range o.Header.Values("Authorization") {
		if _, credentials, ok := strings.Cut(value, " "); ok {
			value = credentials
		}
		s = append(s, value)
	}
	return s
}

// maxQuote is the longest quote of a server's message in an error, in bytes.
const maxQuote = 200

// quote prepares a server's message for an error: without secrets, on one line, and short.
func (s secrets) quote(words string) string {
	for _, secret := range s {
		if secret != "" {
			words = strings.ReplaceAll(words, secret, "[hidden]")
		}
	}
	return plain.Short(words, maxQuote)
}
