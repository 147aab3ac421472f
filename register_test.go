package verity

import (
	"testing"

	"go.k6.io/k6/v2/ext"

	"github.com/verity-app/xk6-verity/extension/version"
)

func TestK6ShowsTheVersionOfThisBuild(t *testing.T) {
	for _, extension := range []*ext.Extension{
		ext.Get(ext.JSExtension)["k6/x/verity"], ext.Get(ext.SubcommandExtension)["verity"],
	} {
		if want := "v" + version.Version(); extension.Version != want {
			t.Errorf("k6 version shows %q for %s, want %q", extension.Version, extension.Name, want)
		}
	}
}

func TestCommandOfK6(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"k6"}, ""},
		{[]string{"k6", "run", "inspect.js"}, "run"},
		{[]string{"k6", "--address", "127.0.0.1:6565", "-v", "run", "x.js"}, "run"},
		{[]string{"k6", "inspect", "x.js"}, "inspect"},
		{[]string{"k6", "x", "verity", "smoke"}, ""},
	} {
		if got := command(tc.args); got != tc.want {
			t.Errorf("the command of %q is %q, want %q", tc.args, got, tc.want)
		}
	}
}

func TestAnOptionOfK6(t *testing.T) {
	const flag = "--execution-segment"
	for _, tc := range []struct {
		args []string
		env  string
		want string
	}{
		{[]string{"k6", "run", "x.js"}, "", ""},
		{[]string{"k6", "run", flag, "0:1/4", "x.js"}, "", "0:1/4"},
		{[]string{"k6", "run", "--execution-segment=1/4:3/4", "--execution-segment-sequence=0,1/4,3/4,1", "x.js"}, "0:1/8", "1/4:3/4"},
		{[]string{"k6", "run", "x.js"}, "0:1/8", "0:1/8"},
		{[]string{"k6", "run", "x.js", flag}, "", ""},
	} {
		if got := option("execution-segment", tc.args, map[string]string{"K6_EXECUTION_SEGMENT": tc.env}); got != tc.want {
			t.Errorf("%s of %q with %q is %q, want %q", flag, tc.args, tc.env, got, tc.want)
		}
	}
}
