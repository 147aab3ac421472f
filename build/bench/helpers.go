package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/verity-app/xk6-verity/extension/payments"
	"github.com/verity-app/xk6-verity/extension/queue"
)

// helper is how often a second a helper can be called: this extension's, one written in the script, and in plain Go. Medians.
type helper struct {
	Name       string          `json:"name"`
	Input      json.RawMessage `json:"-"`
	Verity     float64         `json:"verityPerSecond"`
	JavaScript float64         `json:"javaScriptPerSecond"`
	Go         float64         `json:"plainGoPerSecond"`
}

// measureHelpers runs helpers.js, and calls the helpers with the same inputs in plain Go.
func measureHelpers(ctx context.Context, k6 string) ([]helper, error) {
	cmd := exec.CommandContext(ctx, k6, "run", "--quiet", "--summary-mode=disabled", "build/bench/helpers.js")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("helpers.js: %w", err)
	}
	var helpers []helper
	for line := range strings.Lines(string(out)) {
		var said struct {
			Name               string
			Input              json.RawMessage
			Verity, JavaScript float64
		}
		if json.Unmarshal([]byte(line), &said) != nil {
			continue
		}
		h := helper{Name: said.Name, Input: said.Input, Verity: said.Verity, JavaScript: said.JavaScript}
		work, err := inGo(h)
		if err != nil {
			return nil, err
		}
		h.Go = perSecond(work)
		helpers = append(helpers, h)
	}
	if len(helpers) == 0 {
		return nil, errors.New("helpers.js measured nothing")
	}
	return helpers, nil
}

// inGo returns a function that calls a helper with its input in plain Go.
func inGo(h helper) (func() error, error) {
	signer, err := payments.NewSigner("whsec_bench")
	if err != nil {
		return nil, err
	}
	switch {
	case strings.HasPrefix(h.Name, "queueKey"):
		return func() error { _, err := queue.Key(h.Input); return err }, nil
	case h.Name == "sign":
		return func() error { signer.Sign(h.Input, time.Now()); return nil }, nil
	case h.Name == "checkoutCompleted":
		return func() error {
			_, err := signer.CheckoutCompleted(payments.Purchase{UserID: "cjld2cjxh0000qzrmn831i7rn", Tokens: 5})
			return err
		}, nil
	default:
		return nil, fmt.Errorf("helpers.js measured %q, which is not known here", h.Name)
	}
}

// perSecond returns the median rate of nine rounds.
func perSecond(work func() error) float64 {
	const rounds, length = 9, 100 * time.Millisecond
	var rates []float64
	for range rounds {
		start, n := time.Now(), 0
		for ; time.Since(start) < length; n += 100 {
			for range 100 {
				if work() != nil {
					return 0
				}
			}
		}
		rates = append(rates, float64(n)/time.Since(start).Seconds())
	}
	slices.Sort(rates)
	return rates[rounds/2]
}

func writeHelpers(out io.Writer, helpers []helper) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "HELPER\tCALLS/S\tIN JAVASCRIPT\tRATIO\tIN PLAIN GO\tRATIO\t")
	for _, h := range helpers {
		_, _ = fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.1f\t%.0f\t%.2f\t\n", h.Name, h.Verity, h.JavaScript, h.Verity/h.JavaScript, h.Go, h.Verity/h.Go)
	}
	_ = w.Flush()
}
