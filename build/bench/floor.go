package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/pprof"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/verity-app/xk6-verity/extension/contract"
	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/queue"
	"github.com/verity-app/xk6-verity/extension/runner"
)

// floorCommand as the first argument makes this command the floor: the same users in plain Go, each with a goroutine and a
// net/http client, without JavaScript and metrics. Its cost is that of the kernel and net/http.
const floorCommand = "floor"

type floor struct {
	ctx      context.Context //nolint:containedctx // of the whole run
	baseURL  string
	secret   string
	min, max float64 // think time in s
	requests atomic.Int64
}

// runFloor runs the floor with the scenario's variables, and serves the count of requests as k6's REST API does.
func runFloor(ctx context.Context, address string) error {
	users, err := strconv.Atoi(os.Getenv("TARGET_VUS"))
	if err != nil {
		return err
	}
	runner.PaceGC(ctx)
	runner.PaceProcessors(ctx)
	f := &floor{baseURL: os.Getenv("BASE_URL"), secret: os.Getenv("STRIPE_WEBHOOK_SECRET")}
	f.min, _ = strconv.ParseFloat(os.Getenv("THINK_TIME_MIN"), 64)
	f.max, _ = strconv.ParseFloat(os.Getenv("THINK_TIME_MAX"), 64)
	rampUp, _ := time.ParseDuration(os.Getenv("RAMP_UP"))
	hold, _ := time.ParseDuration(os.Getenv("HOLD"))
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/metrics/http_reqs", f.answer)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	go func() { _ = http.ListenAndServe(address, mux) }() // #nosec G114 -- for this benchmark, on this machine
	var stop context.CancelFunc
	f.ctx, stop = context.WithTimeout(ctx, rampUp+hold+3*time.Second) // longer than the measurement
	defer stop()
	var wg sync.WaitGroup
	for range users {
		arrival := time.Duration(rand.Float64() * float64(rampUp)) // #nosec G404 -- spreads load, guards nothing
		wg.Go(func() { f.user(arrival) })
	}
	wg.Wait()
	return nil
}

func (f *floor) answer(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprintf(w, `{"data":{"attributes":{"sample":{"count":%d}}}}`, f.requests.Load())
}

// pause waits, and reports whether the run goes on.
func (f *floor) pause(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-f.ctx.Done():
		return false
	}
}

func (f *floor) think() bool {
	seconds := f.min + rand.Float64()*(f.max-f.min) // #nosec G404 -- likewise
	return f.pause(time.Duration(seconds * float64(time.Second)))
}

func (f *floor) user(arrival time.Duration) {
	if !f.pause(arrival) {
		return
	}
	client := &http.Client{Transport: &http.Transport{}}
	var account struct {
		User        struct{ ID string }
		AccessToken string
	}
	signedUp := f.send(client, contract.RouteSignUp, nil, nil)
	if json.Unmarshal(signedUp, &account) != nil {
		return
	}
	signer, err := payments.NewSigner(f.secret)
	if err != nil {
		return
	}
	event, err := signer.CheckoutCompleted(payments.Purchase{UserID: account.User.ID, Tokens: 2})
	if err != nil {
		return
	}
	f.send(client, contract.RouteWebhook, event.Body, event.Headers())
	bearer := http.Header{"Authorization": {contract.Bearer + account.AccessToken}}
	withBody := bearer.Clone()
	withBody.Set("Content-Type", contract.ContentType)
	body := fmt.Appendf(nil, `{"region":"australiaCentral","preferences":{"loadTestUser":%q}}`, account.User.ID)
	if _, err := queue.Key(body); err != nil {
		return
	}
	for turn := 1; ; turn++ {
		if turn%10 == 0 {
			f.send(client, contract.RouteBalance, nil, bearer)
		}
		f.send(client, contract.RouteJoin, body, withBody)
		if !f.think() {
			return
		}
		f.send(client, contract.RouteLeave, nil, bearer)
		if !f.think() {
			return
		}
	}
}

func (f *floor) send(client *http.Client, route contract.Route, body []byte, header http.Header) []byte {
	request, err := http.NewRequestWithContext(f.ctx, route.Method, f.baseURL+route.Path, bytes.NewReader(body))
	if err != nil {
		return nil
	}
	if header != nil {
		request.Header = header
	}
	response, err := client.Do(request)
	if err != nil {
		return nil
	}
	defer func() { _ = response.Body.Close() }()
	f.requests.Add(1)
	text, _ := io.ReadAll(response.Body)
	return text
}
