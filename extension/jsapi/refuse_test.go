package jsapi

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/errext"
	"go.k6.io/k6/v2/errext/exitcodes"
	"go.k6.io/k6/v2/secretsource"
)

func TestRefuseEndsTheScriptWithItsMessageAlone(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	_, err := h.VU.Runtime().RunString(`var caught = false; try { verity.refuse('USERS must be 1'); } catch (e) { caught = true; } caught = true;`)
	require.False(t, h.VU.Runtime().Get("caught").ToBoolean(), "nothing catches it, and nothing comes after it")
	text, _ := errext.Format(err)
	require.Equal(t, "USERS must be 1", text)
	var code errext.HasExitCode
	require.ErrorAs(t, err, &code)
	require.Equal(t, exitcodes.ScriptException, code.ExitCode())
	var reason errext.HasAbortReason
	require.ErrorAs(t, err, &reason)
	require.Equal(t, errext.AbortedByScriptError, reason.AbortReason())

	_, err = newHarness(t).VU.Runtime().RunString(`verity.refuse(5)`)
	require.Equal(t, "TypeError: refuse takes a message, got 5", firstLine(err.Error()))
}

func TestPlanMemory(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.root.SetSegment("0:1/2", "0,1/2,1")
	require.InDelta(t, (100*340_000+2000*11_000+2000*10_000)/2, h.mustExec(`verity.planMemory({ vus: 100, users: 2000, sockets: 2000 }).needed`).ToFloat(), 1)
	require.Zero(t, h.mustExec(`verity.planMemory({}).needed`).ToFloat())
	require.Greater(t, h.mustExec(`verity.planMemory({}).available`).ToFloat(), 1e6)
	_, err := h.VU.Runtime().RunString(`verity.planMemory({ vus: -1 })`)
	require.Equal(t, "TypeError: vus of planMemory must be a whole number from 0 to 2147483647, got -1", firstLine(err.Error()))
}

// vault is a secret source of k6.
type vault map[string]string

func (*vault) Description() string { return "a test's" }

func (v *vault) Get(key string) (string, error) {
	if value, ok := (*v)[key]; ok {
		return value, nil
	}
	return "", errors.New("no such secret in the vault")
}

func TestASecretIsFoundInEachSource(t *testing.T) {
	t.Parallel()
	has, empty := &vault{secretName: testSecret}, &vault{}
	for name, tc := range map[string]struct {
		sources    map[string]secretsource.Source
		configured []string
		fails      string
	}{
		"the default one":   {map[string]secretsource.Source{"default": has, "file": has}, []string{"file=a.env"}, ""},
		"another":           {map[string]secretsource.Source{"default": empty, "file": empty, "safe": has}, []string{"file=a.env,default", "file=name=safe,b.env"}, ""},
		"none is default":   {map[string]secretsource.Source{"file": empty, "url": has}, []string{"file=a.env", "url"}, ""},
		"in none":           {map[string]secretsource.Source{"file": empty, "url": empty}, []string{"file=a.env", "url"}, "no such secret in the vault"},
		"nothing is set up": {nil, nil, "no secret sources are configured"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			manager, _, err := secretsource.NewManager(tc.sources)
			require.NoError(t, err)
			h.root.SetSecretSources(func() []string { return tc.configured })
			m := &Module{root: h.root, vu: h.VU, secrets: manager}
			_, err = m.findSigner("")
			if tc.fails == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, "STRIPE_WEBHOOK_SECRET is not set; give it in the environment, or under that name in a k6 secret "+
				"source (--secret-source): "+tc.fails)
		})
	}
}

func TestASecretThatCannotBeOneIsRefusedWhereItIsGiven(t *testing.T) {
	t.Parallel()
	_, err := newHarness(t).VU.Runtime().RunString(`new verity.StripeSigner('sk_live_hunter2')`)
	require.Equal(t, "TypeError: STRIPE_WEBHOOK_SECRET: the webhook secret begins with sk_, as a key of Stripe's API does; the secret of the "+
		"webhook endpoint is needed, which begins with whsec_", firstLine(err.Error()))
}
