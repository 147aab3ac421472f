package standin

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/verity-app/xk6-verity/extension/contract"
)

// The errors of a signature that is refused before stripe-go checks it.
var (
	errSignatureHeader = errors.New("the signature header has no t or no v1 of lower-case hex digits")
	errSignatureOld    = errors.New("the signature is more than 300 s old")
)

// verify checks a body's signature with stripe-go, and first the rules of Verity's library that are stricter: no upper-case hex,
// no space after a comma, and an age in whole seconds. Unknown fields are ignored.
func verify(body []byte, header, secret string, now time.Time) error {
	at, strict, ok := strictSignature(header)
	if !ok {
		return errSignatureHeader
	}
	if now.Unix()-at > int64(contract.SignatureTolerance/time.Second) {
		return errSignatureOld
	}
	return webhook.ValidatePayloadIgnoringTolerance(body, strict, secret)
}

// strictSignature returns the time of a header, in seconds since the epoch, and the header with only the fields that Verity
// reads.
func strictSignature(header string) (at int64, strict string, ok bool) {
	var kept strings.Builder
	hasTime, hasSignature := false, false
	for field := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(field, "=")
		switch {
		case name == "t":
			var err error
			if at, err = strconv.ParseInt(value, 10, 64); err != nil {
				return 0, "", false
			}
			hasTime = true
		case name == "v1" && isLowerHex(value):
			kept.WriteString(",v1=" + value)
			hasSignature = true
		}
	}
	return at, "t=" + strconv.FormatInt(at, 10) + kept.String(), hasTime && hasSignature
}

func isLowerHex(s string) bool {
	return s != "" && strings.Trim(s, "0123456789abcdef") == ""
}
