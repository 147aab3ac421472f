package jsapi

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/grafana/sobek"
	"github.com/stretchr/testify/require"
	"go.k6.io/k6/v2/js/common"

	"github.com/verity-app/xk6-verity/extension/run"
)

// declared reads index.d.ts: the module's exports, and the members of each class or interface.
func declared(t *testing.T) (exports []string, members map[string][]string) {
	t.Helper()
	text, err := os.ReadFile("../../index.d.ts")
	require.NoError(t, err)
	source := regexp.MustCompile(`(?s)/\*\*.*?\*/`).ReplaceAllString(string(text), "")
	members = map[string][]string{}
	declaration := regexp.MustCompile(`(?m)^  export (class|function|const|interface) (\w+)`)
	member := regexp.MustCompile(`(?m)^    (?:readonly )?(\w+)\??[:(]`)
	found := declaration.FindAllStringSubmatchIndex(source, -1)
	for i, at := range found {
		kind, name := source[at[2]:at[3]], source[at[4]:at[5]]
		end := len(source)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		if kind != "interface" {
			exports = append(exports, name)
		}
		for _, m := range member.FindAllStringSubmatch(source[at[1]:end], -1) {
			if (kind == "class" || kind == "interface") && m[1] != "constructor" {
				members[name] = append(members[name], m[1])
			}
		}
		sort.Strings(members[name])
		members[name] = slices.Compact(members[name])
	}
	sort.Strings(exports)
	return exports, members
}

// jsMembers lists the members of a Go type that scripts see: methods, and fields with a js tag.
func jsMembers(goType reflect.Type) []string {
	var names []string
	for method := range goType.Methods() {
		names = append(names, common.MethodName(goType, method))
	}
	for field := range goType.Elem().Fields() {
		if name := common.FieldName(goType.Elem(), field); name != "" {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}

func TestIndexDTSDeclaresWhatTheModuleExports(t *testing.T) {
	t.Parallel()
	exports, _ := declared(t)
	h := newHarness(t)
	object := h.VU.Runtime().Get("verity").(*sobek.Object) //nolint:forcetypeassert // made by newHarness
	actual := object.Keys()
	sort.Strings(actual)
	require.Equal(t, exports, actual)
}

func TestIndexDTSDeclaresTheMembersOfEachClass(t *testing.T) {
	t.Parallel()
	_, members := declared(t)
	for name, goType := range map[string]reflect.Type{
		"StripeSigner":    reflect.TypeFor[*StripeSigner](),
		"Verity":          reflect.TypeFor[*Verity](),
		"QueueProbe":      reflect.TypeFor[*QueueProbe](),
		"PrometheusWatch": reflect.TypeFor[*PrometheusWatch](),
		"SignedEvent":     reflect.TypeFor[*SignedEvent](),
	} {
		require.Equal(t, members[name], jsMembers(goType), name)
	}
	h := newHarness(t)
	shards, err := h.VU.Runtime().RunString(
		`Object.getOwnPropertyNames(new verity.QueueShards({ mode: 'isolated', users: 1 })).sort().join()`)
	require.NoError(t, err)
	require.Equal(t, strings.Join(members["QueueShards"], ","), shards.String())
	require.Equal(t, members["User"], slices.Sorted(slices.Values(append(
		slices.Collect(maps.Keys(userMethods)), jsMembers(reflect.TypeFor[*user]())...))))
}

func TestIndexDTSNamesTheErrors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../index.d.ts")
	require.NoError(t, err)
	source, err := os.ReadFile("../platform/errors.go")
	require.NoError(t, err)
	names := regexp.MustCompile(`= "(\w+Error)"`).FindAllStringSubmatch(string(source), -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		require.Contains(t, string(text), "'"+name[1]+"'")
	}
}

func TestEveryMetricIsInTheReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	h := newHarness(t)
	for _, metric := range run.Metrics {
		require.Contains(t, string(readme), "`"+metric.Name+"`")
		require.NotNil(t, h.VU.InitEnvField.Registry.Get(metric.Name))
	}
}
