package platform_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/platform"
)

// A 403 of the service has its headers or its JSON; that of a firewall has neither.
func TestAnswersOfSomethingInFront(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer  platform.Answer
		inFront bool
	}{
		"a page":                {platform.Answer{Status: 403, Body: []byte("<html>blocked</html>")}, true},
		"nothing":               {platform.Answer{Status: 403}, true},
		"JSON of another":       {platform.Answer{Status: 403, Body: []byte(`{"error":"blocked"}`)}, true},
		"the service's JSON":    {platform.Answer{Status: 403, Body: []byte(`{"message":"Forbidden resource","statusCode":403}`)}, false},
		"the service's headers": {platform.Answer{Status: 403, Header: map[string]string{"X-Ratelimit-Limit": "120"}}, false},
		"another status":        {platform.Answer{Status: 502, Body: []byte("<html>bad gateway</html>")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.inFront, c.answer.FromInFront())
		})
	}
}
