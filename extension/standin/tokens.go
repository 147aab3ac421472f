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

// Why a refresh fails.
var (
	errMissingRefresh = deny(http.StatusUnauthorized, contract.SaysMissingRefresh)
	errInvalidRefresh = deny(http.StatusUnauthorized, contract.SaysInvalidRefresh)
	errReusedRefresh  = deny(http.StatusUnauthorized, contract.SaysReusedRefresh)
	errUsedRefresh    = deny(http.StatusUnauthorized, contract.SaysUsedRefresh)
)

// tokens issues access and refresh tokens and knows whose they are. What it issued is looked up, not verified again.
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
	current string // the one token that is not used yet
	revoked bool
}

func newTokens(ttl time.Duration, now func() time.Time) *tokens {
	return &tokens{secret: []byte(rand.Text()), ttl: ttl, now: now}
}

// open starts a family.
func (t *tokens) open(u *user) (access, refresh string, err error) {
	f := &family{user: u}
	if refresh, err = t.issueRefresh(f); err != nil {
		return "", "", err
	}
	access, err = t.issueAccess(u)
	return access, refresh, err
}

// renew exchanges a refresh token for a new pair. A token that is used twice revokes its family: one after the other, the
// second is reused; when both were found good before pause, the second is already used.
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

// issueRefresh makes the family's next token; the caller holds the family, or nobody else knows it.
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

// keep notes that the user has this token, and forgets those that expired.
func (t *tokens) keep(u *user, token string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	live := u.access[:0]
	for _, old := range u.access {
		switch {
		case old == token: // issued twice in one second
		case t.user(old) == nil:
			t.access.Delete(old)
		default:
			live = append(live, old)
		}
	}
	live = append(live, token)
	u.access = live
}

// user returns whose access token this is; nil when nobody's or expired.
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

// revokeAccess makes the user's access tokens void.
func (t *tokens) revokeAccess(u *user) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, token := range u.access {
		t.access.Delete(token)
	}
	u.access = nil
}
