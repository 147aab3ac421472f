package jsapi

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/standin"
)

func TestAScriptDeletesTheAccountsThatItsServiceKeeps(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	server := h.startStandin(standin.Options{})
	_, err := h.VU.Runtime().RunString(`client = new verity.Verity({ baseUrl, signer, keepAccounts: true });
		var other = new verity.Verity({ baseUrl, signer });`)
	require.NoError(t, err)
	h.run()
	found := h.mustExec(`(async () => {
		const user = await client.signUp();
		await client.signUp();
		await other.signUp();
		await user.buyTokens(1);
		await user.join({ preferences: { mine: 1 } });
		return JSON.stringify(await client.deleteAccounts());
	})()`)
	require.JSONEq(t, `{"accounts": 2, "deleted": 2, "gone": 0, "kept": {}}`, found.String())
	stats := server.Stats()
	require.Zero(t, stats.Tokens.Queued, "who was queued has left")
	_, requests := h.sum("http_reqs", map[string]string{"name": "users_me_delete"})
	require.Zero(t, requests)
}

func TestDeleteAccountsRefuses(t *testing.T) {
	t.Parallel()
	const keeping = `new verity.Verity({ baseUrl: 'http://127.0.0.1:1', keepAccounts: true })`
	h := newHarness(t).run()
	_, err := h.VU.Runtime().RunString(`new verity.Verity({ baseUrl: 'http://127.0.0.1:1' }).deleteAccounts()`)
	require.ErrorContains(t, err, "TypeError: deleteAccounts knows of no account: give Verity keepAccounts: true")
	h.iterate(constantVUs(time.Minute))
	_, err = h.VU.Runtime().RunString(keeping + `.deleteAccounts()`)
	require.ErrorContains(t, err, "TypeError: deleteAccounts can be called in teardown only")
}
