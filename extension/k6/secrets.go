package k6

import (
	"slices"
	"strings"

	"go.k6.io/k6/v2/secretsource"
)

// Secrets is k6's secrets manager.
type Secrets interface {
	Get(source, key string) (string, error)
}

// Secret looks a secret up in the default source of k6, and then in the others, which are configured by these values of
// --secret-source. The error is that of the last one.
func Secret(secrets Secrets, configured []string, name string) (string, error) {
	value, err := secrets.Get(secretsource.DefaultSourceName, name)
	if err == nil {
		return value, nil
	}
	for _, source := range secretSourceNames(configured) {
		if value, err = secrets.Get(source, name); err == nil {
			return value, nil
		}
	}
	return "", err
}

// secretSourceNames are the names that k6 gives to its sources: that in the configuration, as in file=name=vault,secrets.env,
// or else their type.
func secretSourceNames(configured []string) []string {
	names := make([]string, 0, len(configured))
	for _, line := range configured {
		kind, config, _ := strings.Cut(line, "=")
		name := kind
		for option := range strings.SplitSeq(config, ",") {
			if given, isName := strings.CutPrefix(option, "name="); isName && given != "" {
				name = given
			}
		}
		names = append(names, name)
	}
	return slices.Compact(names)
}
