package jsapi

import (
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/verity-app/xk6-verity/extension/standin"
)

func TestAUserFromSignUpToLeave(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := h.startStandin(standin.Options{})
	got := h.mustExec(`(async () => {
		const user = await client.signUp({ tokens: 2 });
		const joined = await user.join({ city: 'Perth', preferences: { b: 1, a: [null] } });
		const during = [user.tokens(), user.queued()];
		const left = await user.leave();
		return JSON.stringify([user.id.length, user.number, joined, during, left, user.tokens(), user.queued(), await user.balance()]);
	})()`).String()
	key := h.mustExec(`verity.queueKey({ city: 'Perth', preferences: { a: [null], b: 1 } })`).String()
	require.JSONEq(t, `[26,-1,{"status":"queued","queueKey":"`+key+`","position":0},[1,true],{"status":"left","refunded":true},2,false,2]`, got)
	stats := server.Stats()
	require.EqualValues(t, 2, stats.Tokens.Bought)
	require.EqualValues(t, 2, stats.Tokens.Balance)

	for operation, requests := range map[string]int{
		"auth_signup": 1, "stripe_webhook": 1, "queue_join": 1, "queue_leave": 1, "tokens_balance": 1,
	} {
		_, count := h.sum("http_req_duration", map[string]string{"name": operation, "url": operation, "expected_response": "true"})
		require.Equal(t, requests, count, operation)
	}
	_, count := h.sum("queue_join_latency", nil)
	require.Equal(t, 1, count)
	_, count = h.sum("stripe_webhook_latency", nil)
	require.Equal(t, 1, count)
	failed, _ := h.sum("http_req_failed", nil)
	require.Zero(t, failed)
}

func TestAPlannedPlaceIsSentWithoutItsDescription(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	got := h.mustExec(`(async () => {
		const results = [];
		for (const options of [
			{ mode: 'isolated', users: 4, region: 'australiaCentral' },
			{ mode: 'shared', users: 4, shards: 2, city: 'Perth', namespace: 'übung "1"' },
		]) {
			const place = new verity.QueueShards(options).place(3);
			const user = await client.signUp({ tokens: 1 });
			const joined = await user.join(place);
			results.push(joined.status, joined.queueKey === place.queueKey, verity.queueKey(
				{ city: place.city, region: place.region, preferences: place.preferences }) === place.queueKey, place.shard);
			await user.close();
			results.push(user.queued(), user.tokens());
		}
		return JSON.stringify(results);
	})()`).String()
	require.JSONEq(t, `["queued",true,true,-1,false,1,"queued",true,true,1,false,1]`, got)
}

func TestAPlannedPlaceIsReadOnlyAndMayBeCopied(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	got := h.mustExec(`(async () => {
		const place = new verity.QueueShards({ mode: 'shared', users: 2, region: 'australiaCentral', namespace: 'a' }).place(0);
		const refused = (() => { 'use strict'; try { place.region = 'x'; return 'nothing'; } catch (e) { return e.name; } })();
		const joinAt = async (where) => {
			const user = await client.signUp({ tokens: 1 });
			const { queueKey } = await user.join(where);
			await user.close();
			return queueKey;
		};
		const moved = await joinAt({ ...place, city: 'Perth' });
		const planned = await joinAt(place);
		place.preferences.own = true; // preferences are the script's to change
		return JSON.stringify([refused, Object.keys(place), 'city' in place, moved.split(':')[0], planned === place.queueKey,
			await joinAt(place) === verity.queueKey({ region: place.region, preferences: place.preferences })]);
	})()`).String()
	require.JSONEq(t, `["TypeError",["region","preferences","queueKey","shard"],false,"perth",true,true]`, got)
}

func TestAnAnswerThatIsNotWhatWasExpectedRejects(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	got := h.mustExec(`(async () => {
		const user = await client.signUp({ tokens: 2 });
		const said = async (call) => { try { await call(); return 'nothing'; } catch (e) {
			return [e.name, e.operation, e.status, e.message].join('|'); } };
		const queued = { expect: 'queued' };
		return JSON.stringify([
			await said(() => user.balance({ expect: 2 })), await said(() => user.balance({ expect: 3 })),
			await said(() => user.join({ queueKey: 'elsewhere:1' }, queued)), await said(() => user.join({}, queued)),
			await said(() => user.leave({ expect: 'left' })), await said(() => user.leave({ expect: 'left' })), await said(() => user.leave()),
			await said(() => user.join({}, { expect: 'left' })), await said(() => user.leave({ expected: 'left' })),
			await said(() => user.balance({ expect: null })),
		]);
	})()`).String()
	require.JSONEq(t, `["nothing",
		"UnexpectedAnswerError|tokens_balance|200|tokens_balance: the balance is 2, but by what was bought, spent and refunded it must be 3",
		"UnexpectedAnswerError|queue_join|201|queue_join: queued under canberra:44136fa355b3 instead of elsewhere:1",
		"UnexpectedAnswerError|queue_join|201|queue_join: already_queued, though this user was in no queue",
		"nothing", "UnexpectedAnswerError|queue_leave|200|queue_leave: not_queued, though nobody else joins this user's key", "nothing",
		"TypeError|||expect of join must be \"queued\", got \"left\"",
		"TypeError|||unknown option \"expected\" of leave; it takes expect",
		"TypeError|||expect of balance must be a whole number from 0 to 2147483647, got null"
	]`, got)
}

func TestABalanceIsJudgedByTheUsersOwnAccount(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	got := h.mustExec(`(async () => {
		const user = await client.signUp({ tokens: 2 });
		const judged = async () => { try { return await user.balance({ expect: 'account' }); } catch (e) { return e.message; } };
		const old = () => Math.floor(Date.now() / 1000) - 400; // too old: the answer is 500
		const lost = (tokens) => client.webhook(signer.checkoutCompleted({ userId: user.id, tokens, timestamp: old() })).catch(() => {});
		const given = (tokens) => { // without the account knowing of it
			const { body, headers } = signer.checkoutCompleted({ userId: user.id, tokens });
			return client.webhook({ body, headers });
		};
		const results = [await judged()];
		await lost(7); await given(7); results.push(await judged());
		await lost(7); await given(8); results.push(await judged());
		await given(1); results.push(await judged(), await judged());
		return JSON.stringify(results);
	})()`).String()
	require.JSONEq(t, `[2, 9, "tokens_balance: the balance is 17, but by what was bought, spent and refunded it must be 9, and 16 at `+
		`most with the purchases that got no good answer", "tokens_balance: the balance is 18, but by what was bought, spent and `+
		`refunded it must be 17", 18]`, got)
}

func TestOperationsAreCountedUnlessTheServiceIsToldNotTo(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.mustExec(`(async () => {
		const quiet = new verity.Verity({ baseUrl, signer, countOperations: false });
		for (const each of [client, quiet]) {
			const user = await each.signUp();
			await user.buyTokens(1);
			await user.join({});
			await user.leave();
			await user.balance({ expect: 7 }).catch(() => {});
			await each.webhook(signer.checkoutCompleted({ userId: user.id, tokens: 1 }));
		}
	})()`)
	for _, operation := range []string{"auth_signup", "stripe_webhook", "queue_join", "queue_leave", "tokens_balance"} {
		tags := map[string]string{"name": operation}
		counted, _ := h.sum("operations", tags)
		require.EqualValues(t, 1, counted, operation)
		failed, count := h.sum("error_rate", tags)
		require.Equal(t, 1, count, operation)
		require.Equal(t, operation == "tokens_balance", failed == 1, operation)
	}
	const says = "tokens_balance: the balance is 1, but by what was bought, spent and refunded it must be 7"
	require.Contains(t, h.summary(), "✗ error        tokens_balance UnexpectedAnswerError 200 × 1, for example: "+says+"\n")
	require.Len(t, h.log.AllEntries(), 1, "the first of its kind is logged, counted or not")
	require.Equal(t, says+" (others of this kind are not logged)", h.log.LastEntry().Message)
}

func TestErrorsThatAScriptCatches(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	got := h.mustExec(`(async () => {
		const user = await client.signUp();
		const caught = async (call) => { try { await call(); return 'nothing'; } catch (e) {
			return [e instanceof Error, e.name, e.operation, e.status, e.message, e.retryAfter === undefined]; } };
		return JSON.stringify([
			await caught(() => user.join({})),
			await caught(() => user.join({ city: '' })),
			await caught(() => client.webhook(signer.checkoutCompleted({ userId: 'nobody', tokens: 1 }))),
			await caught(() => new verity.Verity({ baseUrl: 'http://127.0.0.1:1' }).signUp()),
			await caught(() => new verity.Verity({ baseUrl }).signUp({ tokens: 1 })),
		]);
	})()`).String()
	require.JSONEq(t, `[
		[true,"InsufficientTokensError","queue_join",400,"queue_join was answered 400: Insufficient token balance; buy tokens before joining",true],
		[true,"HTTPError","queue_join",400,"queue_join was answered 400: City must be a non-empty string when provided",true],
		[true,"HTTPError","stripe_webhook",500,"stripe_webhook was answered 500: Internal server error",true],
		[true,"ConnectionError","auth_signup",0,"auth_signup could not be sent: dial tcp 127.0.0.1:1: connect: connection refused",true],
		[true,"Error",null,null,"tokens cannot be bought: give Verity a signer",true]
	]`, got)
}

func TestWebhookSaysWhatWasAnswered(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	got := h.mustExec(`(async () => {
		const user = await client.signUp();
		const event = signer.checkoutCompleted({ userId: user.id, tokens: 7 });
		const first = await client.webhook(event);
		const again = await client.webhook(event);
		const stale = signer.checkoutCompleted({ userId: user.id, tokens: 7, timestamp: Math.floor(Date.now() / 1000) - 400 });
		const refused = await client.webhook(stale, { expectedStatuses: [500] });
		const own = '{"type":"other"}';
		const byHand = await client.webhook({ body: own, headers: { 'Stripe-Signature': signer.sign(own) } });
		return JSON.stringify([first.status, first.body, first.durationMs > 0, again.status, refused.status, byHand.status,
			user.tokens(), await user.balance(), user.tokens(), client.user(user.id).tokens()]);
	})()`).String()
	require.JSONEq(t, `[200,"{\"received\":true}",true,200,500,200,null,7,7,7]`, got,
		"what a 500 did is unknown until the balance is read")
}

func TestAThrottledAnswerIsCountedByRoute(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{Throttle: true})
	got := h.mustExec(`(async () => {
		for (let i = 0; i < 10; i++) { await client.signUp(); }
		try { await client.signUp(); } catch (e) { return JSON.stringify([e.name, e.status, e.retryAfter]); }
	})()`).String()
	require.JSONEq(t, `["ThrottledError",429,60]`, got)
	total, _ := h.sum("throttled_requests", map[string]string{"name": "auth_signup"})
	require.EqualValues(t, 1, total)
	require.Contains(t, h.summary(), "✗ throttled    1 answers were 429: auth_signup 1. ")
}

func TestALostRefundIsCounted(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/auth/signup-anonymous":
			http.SetCookie(w, &http.Cookie{Name: "refresh_token", Value: "x"})
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"user":{"id":"c1","tokenBalance":1},"accessToken":"x"}`))
		case "/queue/leave":
			_, _ = w.Write([]byte(`{"status":"already_matched","refunded":false}`))
		}
	}))
	defer server.Close()
	require.NoError(t, h.VU.Runtime().Set("baseUrl", server.URL))
	h.mustExec(`(async () => { await (await new verity.Verity({ baseUrl }).signUp()).leave(); })()`)
	total, _ := h.sum("tokens_lost", map[string]string{"why": "already_matched"})
	require.EqualValues(t, 1, total)
}

func TestAConnectionIsNotUsedUntilTheServerClosesIt(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Keep-Alive", "timeout=4")
		http.SetCookie(w, &http.Cookie{Name: "refresh_token", Value: "x"})
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"user":{"id":"c1","tokenBalance":0},"accessToken":"x","status":"queued","queueKey":"k"}`))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	require.NoError(t, h.VU.Runtime().Set("baseUrl", server.URL))
	h.mustExec(`(async () => {
		const user = await new verity.Verity({ baseUrl }).signUp();
		await user.join({});
		await verity.think(3.6); // the server may close at 4 s; the margin is half a second
		await user.join({});
		await user.join({});
	})()`)
	require.EqualValues(t, 2, connections.Load())
}

func TestCheckHealthAbortsARunWhoseTargetIsNoVerity(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	require.NoError(t, h.VU.Runtime().Set("baseUrl", server.URL))
	_, err := h.exec(`new verity.Verity({ baseUrl }).checkHealth()`)
	require.ErrorContains(t, err, "test aborted: "+server.URL+" is not a healthy Verity: GET /health was answered 404")
}

func TestCheckHealthIsNoLoad(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.mustExec(`client.checkHealth()`)
	require.Empty(t, h.drainSamples())
}

func TestAUserIsOneObject(t *testing.T) {
	t.Parallel()
	h := newHarness(t).run()
	h.startStandin(standin.Options{})
	h.iterate(perVUIterations())
	require.Equal(t, "true/true/0/id,number", h.mustExec(`(async () => {
		let own, same, signedUp;
		await verity.stay({ users: 1, signUp: async () => signedUp = await client.signUp() }, (user) => {
			same = user === signedUp;
			own = Object.keys(user).sort().join();
			user.mine = 1;
		});
		return [same, signedUp.join === Object.getPrototypeOf(signedUp).join, signedUp.number, own].join('/');
	})()`).String())
	_, err := h.exec(`(async () => { const { join } = await client.signUp(); return join({}); })().catch((e) => { throw e; })`)
	require.ErrorContains(t, err, "TypeError: join must be called on a User")
}
