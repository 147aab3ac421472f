package httpconn

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// onEachWay runs a test over HTTP/1.1, over HTTP/2 and over a transport of net/http, which proxies need.
func onEachWay(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, transport subject, url string)) {
	t.Helper()
	plain := httptest.NewServer(handler)
	t.Cleanup(plain.Close)
	encrypted := httptest.NewUnstartedServer(handler)
	encrypted.EnableHTTP2 = true
	encrypted.StartTLS()
	t.Cleanup(encrypted.Close)
	_, trusting := identity()
	speaksHTTP2 := trusting.Clone()
	speaksHTTP2.NextProtos = []string{"h2", "http/1.1"}

	t.Run("HTTP/1.1", func(t *testing.T) {
		t.Parallel()
		transport, _ := newTransport(t, &Config{})
		test(t, transport, plain.URL)
	})
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		transport, _ := newTransport(t, &Config{TLS: speaksHTTP2, HTTP2: func() http.RoundTripper {
			return &http.Transport{TLSClientConfig: trusting.Clone(), ForceAttemptHTTP2: true, DisableCompression: true}
		}})
		test(t, transport, encrypted.URL)
	})
	t.Run("net/http", func(t *testing.T) {
		t.Parallel()
		transport := whole(&http.Transport{DisableCompression: true})
		t.Cleanup(transport.CloseIdleConnections)
		test(t, transport, plain.URL)
	})
}

// packed returns a text as newWriter's writer compresses it.
func packed[W io.WriteCloser](text string, newWriter func(io.Writer) W) string {
	var b bytes.Buffer
	w := newWriter(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

func TestABodyHasALimit(t *testing.T) {
	t.Parallel()
	const tooLarge = "the answer is larger than 1 MB"
	full := strings.Repeat("x", maxBody)
	bomb := packed(strings.Repeat("\x00", 20*maxBody), gzip.NewWriter)
	require.Less(t, len(bomb), maxBody, "compressed it is within the limit")
	cases := map[string]struct {
		encoding, body string
		want, err      string
	}{
		"full":              {"", full, full, ""},
		"a byte more":       {"", full + "x", "", tooLarge},
		"gzip":              {"gzip", packed("small", gzip.NewWriter), "small", ""},
		"full gzip":         {"x-gzip", packed(full, gzip.NewWriter), full, ""},
		"a byte more gzip":  {"gzip", packed(full+"x", gzip.NewWriter), "", tooLarge},
		"a bomb":            {"GZIP", bomb, "", tooLarge},
		"deflate":           {"deflate", packed("small", zlib.NewWriter), "small", ""},
		"a bomb of deflate": {"deflate", packed(strings.Repeat("\x00", 10*maxBody), zlib.NewWriter), "", tooLarge},
		"identity":          {"identity", "small", "small", ""},
		"no gzip":           {"gzip", "small", "", "the answer is not the gzip that it says: unexpected EOF"},
		"half a gzip":       {"gzip", packed(full, gzip.NewWriter)[:100], "", "the answer is not the gzip that it says: unexpected EOF"},
		"brotli":            {"br", "small", "", `the answer is encoded as "br", for which nobody asked`},
		"twice":             {"gzip, gzip", "small", "", `the answer is encoded as "gzip, gzip", for which nobody asked`},
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		tc := cases[r.URL.Query().Get("case")]
		if tc.encoding != "" {
			w.Header().Set("Content-Encoding", tc.encoding)
		}
		if r.URL.Path == "/sized" {
			w.Header().Set("Content-Length", strconv.Itoa(len(tc.body)))
		} else {
			w.(http.Flusher).Flush() //nolint:forcetypeassert // of net/http
		}
		_, _ = io.WriteString(w, tc.body)
	}
	onEachWay(t, handler, func(t *testing.T, transport subject, url string) {
		for name, tc := range cases {
			for _, path := range []string{"/sized", "/chunks"} {
				request := newRequest(t, http.MethodGet, url+path, "")
				request.URL.RawQuery = "case=" + strings.ReplaceAll(name, " ", "+")
				got, err := roundTrip(transport, request)
				if tc.err != "" {
					require.EqualError(t, err, tc.err, "%s %s", name, path)
					require.ErrorIs(t, err, ErrAnswer)
					continue
				}
				require.NoError(t, err, "%s %s", name, path)
				same := tc.want == got.body // not require.Equal, which would print both bodies
				require.True(t, same, "%s %s", name, path)
				if tc.encoding != "identity" {
					require.Empty(t, got.Header.Get("Content-Encoding"), "k6 must not unpack it again")
				}
			}
		}
	})
}

func TestABodyThatPromisesTooMuchIsNotRead(t *testing.T) {
	t.Parallel()
	address := script(t, func(_ int, w *wire) {
		w.reply("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
		w.untilClosed()
	})
	transport, _ := newTransport(t, &Config{})
	_, err := roundTrip(transport, newRequest(t, http.MethodGet, "http://"+address, ""))
	require.EqualError(t, err, "the answer is larger than 1 MB")
}

func TestAnswersWithoutABodyHaveNothingToUnpack(t *testing.T) {
	t.Parallel()
	onEachWay(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusNoContent)
		}
	}, func(t *testing.T, transport subject, url string) {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got, err := roundTrip(transport, newRequest(t, method, url, ""))
			require.NoError(t, err)
			require.Empty(t, got.body)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add("gzip", []byte(packed("seed", gzip.NewWriter)))
	f.Add("deflate", []byte(packed("seed", zlib.NewWriter)))
	f.Add("br", []byte("x"))
	f.Fuzz(func(t *testing.T, encoding string, body []byte) {
		response := &http.Response{Header: http.Header{"Content-Encoding": {encoding}}, ContentLength: -1}
		response.Body = io.NopCloser(bytes.NewReader(body))
		err := readBody(response)
		if err != nil {
			require.ErrorIs(t, err, ErrAnswer)
			return
		}
		got, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.LessOrEqual(t, len(got), maxBody)
	})
}
