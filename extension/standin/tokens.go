package standin

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// The refusals of a refresh.
var (
	errMissingRefresh = deny(http.StatusUnauthorized, contract.SaysMissingRefresh)
	errInvalidRefresh = deny(http.StatusUnauthorized, contract.SaysInvalidRefresh)
	errReusedRefresh  = deny(http.StatusUnauthorized, contract.SaysReusedRefresh)
	errUsedRefresh    = deny(http.StatusUnauthorized, contract.SaysUsedRefresh)
)

// tokens issues access and refresh tokens, and maps them to their users. Issued tokens are looked up, not verified again.
type tokens struct {
	secret []byte
	ttl    time.Duration
	now    func() time.Time

	access  sync.Map // token → accessToken
	refresh sync.Map // token → refreshToken
}

type accessToken struct {
	user *user
	exp  int64 // s since the epoch
}

type refreshToken struct {
	family *family
	exp    int64 // s since the epoch
}

// family is the chain of refresh tokens that one sign-up started.
type family struct {
	user *user

	mu      sync.Mutex
	current string // the token that is not used yet
	revoked bool
}

func newTokens(ttl time.Duration, now func() time.Time) *tokens {
	return &tokens{secret: []byte(rand.Text()), ttl: ttl, now: now}
}

// open starts a family, and returns its first tokens.
func (t *tokens) open(u *user) (access, refresh string, err error) {
	f := &family{user: u}
	if refresh, err = t.issueRefresh(f); err != nil {
		return "", "", err
	}
	access, err = t.issueAccess(u)
	return access, refresh, err
}

// renew exchanges a refresh token for a new pair of tokens. A token that is used twice revokes its family. The second use is
// refused as reused if it comes after the first, and as already used if both were valid before pause.
func (t *tokens) renew(token string, pause func()) (access, refresh string, err error) {
	if token == "" {
		return "", "", errMissingRefresh
	}
	found, ok := t.refresh.Load(token)
	if !ok {
		return "", "", errInvalidRefresh
	}
	old, _ := found.(refreshToken)
	if old.exp <= t.now().Unix() || old.family.user.isGone() {
		return "", "", errInvalidRefresh
	}
	f := old.family
	if !f.holds(token) {
		return "", "", errReusedRefresh
	}
	pause()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.revoked || f.current != token {
		f.revoked = true
		return "", "", errUsedRefresh
	}
	if refresh, err = t.issueRefresh(f); err != nil {
		return "", "", err
	}
	access, err = t.issueAccess(f.user)
	return access, refresh, err
}

// holds reports whether the token is the family's unused one; any other revokes the family.
func (f *family) holds(token string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.revoked = f.revoked || f.current != token
	return !f.revoked
}

// issueRefresh makes the family's next refresh token. The family is locked, or new.
func (t *tokens) issueRefresh(f *family) (string, error) {
	now := t.now().Unix()
	exp := now + int64(contract.RefreshTokenLife/time.Second)
	token, err := t.sign(jwt.MapClaims{"sub": f.user.id, "typ": "refresh", "jti": rand.Text(), "iat": now, "exp": exp})
	if err != nil {
		return "", err
	}
	f.current = token
	t.refresh.Store(token, refreshToken{family: f, exp: exp})
	return token, nil
}

func (t *tokens) issueAccess(u *user) (string, error) {
	now := t.now().Unix()
	exp := now + int64(t.ttl/time.Second)
	token, err := t.sign(jwt.MapClaims{"sub": u.id, "typ": "access", "role": "user", "iat": now, "exp": exp})
	if err != nil {
		return "", err
	}
	t.access.Store(token, accessToken{user: u, exp: exp})
	t.keep(u, token)
	return token, nil
}

func (t *tokens) sign(claims jwt.MapClaims) (string, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(t.secret)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}

// keep adds an access token to the user's, and removes the expired ones.
func (t *tokens) keep(u *user, token string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	live := u.access[:0]
	for _, old := range u.access {
		switch {
		case old == token: // the same token, issued twice in one second
		case t.user(old) == nil:
			t.access.Delete(old)
		default:
			live = append(live, old)
		}
	}
	live = append(live, token)
	u.access = live
}

// user returns the user of an access token; nil if it is unknown or expired.
func (t *tokens) user(token string) *user {
	found, ok := t.access.Load(token)
	if !ok {
		return nil
	}
	access, _ := found.(accessToken)
	if access.exp <= t.now().Unix() {
		return nil
	}
	return access.user
}
