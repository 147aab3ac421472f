// Package loadtest_test runs the scenarios end to end: the built k6, as its users start it, against two Veritys that share
// no code, and judges what k6 said, how it exited, and what the service saw.
//
// It needs ../k6 (`make k6`); K6_BINARY names another one. Tests against the Verity in testdata/verity.mjs need Node.
package loadtest_test

import (
	"context"
	"flag"
	"os"
	"testing"
	"time"
)

const (
	// suiteLimit bounds the time of all tests together, runLimit that of one k6.
	suiteLimit = 28 * time.Minute
	runLimit   = 90 * time.Second
	// atOnce is how many tests run at once. They mostly wait, for k6's users think.
	atOnce = "4"
)

// suite ends when the tests took too long; every process is started in it.
var suite context.Context //nolint:gochecknoglobals // the one thing that TestMain hands to tests

func TestMain(m *testing.M) {
	limit := flag.Duration("suite-limit", suiteLimit, "the time of all tests together")
	flag.Parse()
	isSet := false
	flag.Visit(func(f *flag.Flag) { isSet = isSet || f.Name == "test.parallel" })
	if !isSet {
		if err := flag.Set("test.parallel", atOnce); err != nil {
			panic(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), *limit)
	suite = ctx
	code := m.Run()
	cancel()
	os.Exit(code)
}
