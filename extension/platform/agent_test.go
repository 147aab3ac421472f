package platform

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRequestsThatAreNoLoadNameTheTool(t *testing.T) {
	t.Parallel()
	named := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { named <- r.UserAgent() }))
	defer server.Close()
	client := http.Client{Transport: Named(http.DefaultTransport, "mine")}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, "mine", <-named)
	require.Empty(t, request.Header, "the caller's request is left as it is")
	http.DefaultTransport.(*http.Transport).CloseIdleConnections() //nolint:forcetypeassert // Go's own
}
