package socketio

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// newSID returns a random id of 20 characters, the length of the reference's ids.
func newSID() string {
	var b [15]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// bearer returns the token of the Authorization header, and whether there is such a header.
func bearer(header []string) (token string, present bool) {
	if len(header) == 0 {
		return "", false
	}
	token, _ = strings.CutPrefix(header[0], "Bearer ")
	if token == header[0] {
		token = ""
	}
	return token, true
}

// token returns the token of a CONNECT packet.
func (c *conn) token(auth json.RawMessage) string {
	if c.authorized {
		return c.bearer
	}
	var data struct {
		Token any `json:"token"`
	}
	_ = json.Unmarshal(auth, &data) // only an object has a token
	token, _ := data.Token.(string)
	return token
}
