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
	// DefaultTimeout is the reference client's.
	DefaultTimeout = 20 * time.Second
	// DefaultReadLimit is what the reference server takes, 1 MB, which is more than Verity sends.
	DefaultReadLimit = 1_000_000
)

// Options says where and how Dial connects, and who hears what arrives.
type Options struct {
	// URL is the origin of the service: scheme http, https, ws or wss, host, perhaps a port; no path, query or credentials.
	URL string
	// Namespaces are joined over this one connection, in this order.
	Namespaces []string
	// Auth goes with each CONNECT; Verity reads {"token": <access token>}. Its values appear in no error.
	Auth map[string]string
	// Header goes with the opening request. The Authorization header, which wins over Auth, appears in no error.
	Header http.Header

	// Dialer opens the TCP connection; nil means a net.Dialer.
	Dialer func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLSConfig is for https and wss; nil means Go's defaults. HTTP/2 is never negotiated.
	TLSConfig *tls.Config
	// Proxy is asked for a proxy as http.Transport asks; nil means none.
	Proxy func(*http.Request) (*url.URL, error)

	// Timeout bounds Dial, on top of its context; 0 means DefaultTimeout.
	Timeout time.Duration
	// ReadLimit is the largest message to accept, in bytes; a larger one ends the connection. 0 means DefaultReadLimit.
	ReadLimit int64

	// Wants is asked about each event before it is decoded: true hands it to OnEvent, false drops it at the cost of having
	// looked at its name. It is where events are counted. The name is valid during the call only. nil wants every event.
	Wants func(namespace string, event []byte) bool
	// OnEvent gets the wanted events in the order of their arrival.
	OnEvent func(Event)
	// OnClose is told the end of the connection, once and as the last callback; perhaps before Dial has returned the Client,
	// and never when Dial fails.
	OnClose func(error)

	// Callbacks run one at a time on the goroutine that reads: at first Dial's, since a namespace may speak before the
	// next is joined, then the client's own. While one runs nothing is read and no ping is answered, so it must be quick,
	// and it must not wait for the Client: no Call, and Close only in a goroutine.
}

// endpoint returns the websocket URL and the origin's host for error messages.
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

// tlsConfig returns the TLS settings with nothing but HTTP/1.1 to negotiate: a websocket cannot be opened over HTTP/2.
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

// secrets are the texts that must not appear in an error, though a server may echo them.
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

// maxQuote bounds what an error repeats of a server's words, in bytes.
const maxQuote = 200

// quote makes a server's words fit for an error: without secrets, on one line, and short.
func (s secrets) quote(words string) string {
	for _, secret := range s {
		if secret != "" {
			words = strings.ReplaceAll(words, secret, "[hidden]")
		}
	}
	return plain.Short(words, maxQuote)
}
