package platform

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// maxRefreshLead is the longest time before its expiry that an access token is refreshed.
const maxRefreshLead = 2 * time.Minute

// accessToken is a bearer token with its times by this machine's clock. The service's clock may differ, so the lifetime counts
// from when the token was received.
type accessToken struct {
	bearer  string    // the Authorization header
	expires time.Time // zero: unknown
	refresh time.Time // when to refresh; zero: not before a 401
}

func newAccessToken(value string, received time.Time) accessToken {
	token := accessToken{bearer: contract.Bearer + value}
	lifetime, err := lifetimeOf(value)
	if err != nil {
		return token
	}
	token.expires = received.Add(lifetime - min(time.Second, lifetime/2)) // iat and exp are whole seconds, rounded down
	token.refresh = token.expires.Add(-refreshLead(lifetime))
	return token
}

// refreshLead returns a fifth of the lifetime or less, at random, so that users that signed up together do not refresh together.
func refreshLead(lifetime time.Duration) time.Duration {
	lead := min(lifetime/5, maxRefreshLead)
	return lead - time.Duration(rand.Float64()*float64(lead)/2) // #nosec G404 -- spreads load, guards nothing
}

func (t accessToken) due(now time.Time) bool { return !t.refresh.IsZero() && !now.Before(t.refresh) }

func (t accessToken) expired(now time.Time) bool {
	return !t.expires.IsZero() && !now.Before(t.expires)
}

// lifetimeOf returns exp − iat of a JWT. It does not verify the signature, and so reads the two numbers by itself: golang-jwt refuses a
// token whose header names an algorithm that it does not know.
func lifetimeOf(jwt string) (time.Duration, error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return 0, errors.New("not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return 0, errors.New("not a JWT: its payload is not base64url")
	}
	var claims struct {
		IssuedAt  float64 `json:"iat"`
		ExpiresAt float64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return 0, errors.New("not a JWT: its payload is not JSON")
	}
	seconds := claims.ExpiresAt - claims.IssuedAt
	if claims.IssuedAt <= 0 || seconds <= 0 || seconds > 1e9 {
		return 0, errors.New("the JWT does not say how long it lives")
	}
	return time.Duration(seconds * float64(time.Second)), nil
}
