package campaign

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Lookup makes a step from a profile; the given variables override the profile's. Its error lists the known profiles, or names the wrong
// variable.
type Lookup func(profile string, variables map[string]string) (Step, error)

// The limits on the size of a plan. They are above any plan in use, and bound what is judged, logged and shown.
const (
	mostSteps = 100
	mostBytes = 1 << 20
)

// ParsePlan parses a plan file: YAML with the steps in their order. Errors name the line, the key and the values that it accepts.
//
//	name: evening
//	limits:                      # of every step
//	  - { name: database, query: 'max(pg_up)', below: 1, for: 10s }
//	steps:
//	  - profile: queue-dry
//	  - profile: match-full
//	    name: match-half         # default: the profile's
//	    variables: { TARGET_VUS: 2500 }
//	    dry: true                # begins without a question
//	    accept-not-proven: true  # the campaign goes on after NOT PROVEN
//	    limits: […]              # of this step
func ParsePlan(text []byte, lookup Lookup) (Plan, error) {
	if len(text) > mostBytes {
		return Plan{}, fmt.Errorf("longer than %d bytes; no plan is", mostBytes)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return Plan{}, fmt.Errorf("no YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(document.Content) == 0 {
		return Plan{}, errors.New(`it is empty; it takes "steps", such as steps: [{ profile: queue-dry }]`)
	}
	var plan Plan
	var steps []planStep
	var limits []Limit
	err := readMap(document.Content[0], "a plan", []key{
		{"name", oneLine(&plan.Name)},
		{"limits", list("limits", func(node *yaml.Node) error { return readLimit(node, &limits) })},
		{"steps", list("steps", func(node *yaml.Node) error { return readStep(node, &steps) })},
	})
	if err != nil {
		return Plan{}, err
	}
	if len(steps) == 0 {
		return Plan{}, errors.New(`there are no steps; it takes "steps", such as steps: [{ profile: queue-dry }]`)
	}
	for _, s := range steps {
		step, err := s.resolve(lookup, limits)
		if err != nil {
			return Plan{}, fmt.Errorf("line %d: %w", s.line, err)
		}
		plan.Steps = append(plan.Steps, step)
	}
	return plan, plan.check()
}

// planStep is a step as the plan file has it.
type planStep struct {
	line            int
	profile, name   string
	variables       map[string]string
	dry             *bool
	acceptNotProven bool
	limits          []Limit
}

func (s planStep) resolve(lookup Lookup, limits []Limit) (Step, error) {
	if s.profile == "" {
		return Step{}, errors.New(`a step takes "profile", the name of one that k6 x verity profiles lists or PROFILES_FILE has`)
	}
	variables := s.variables
	if len(variables) == 0 {
		variables = nil
	}
	step, err := lookup(s.profile, variables)
	if err != nil {
		return Step{}, err
	}
	if s.name != "" {
		step.Name = s.name
	}
	if s.dry != nil {
		step.Dry = *s.dry
	}
	step.AcceptNotProven = s.acceptNotProven
	step.Limits = slices.Concat(limits, s.limits)
	return step, nil
}

// stepName matches names that work as a folder and as an unquoted word in a command.
var stepName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// check refuses too many steps, and names that are not valid as a folder or that name the same folder.
func (p Plan) check() error {
	if len(p.Steps) > mostSteps {
		return fmt.Errorf("%d steps; a plan takes %d at most", len(p.Steps), mostSteps)
	}
	seen := map[string]bool{}
	for _, step := range p.Steps {
		if !stepName.MatchString(step.Name) {
			return fmt.Errorf("the name of a step must be letters, digits, dots, - and _, for its folder is called so; got %q", step.Name)
		}
		if folded := strings.ToLower(step.Name); seen[folded] {
			return fmt.Errorf(`two steps are called %q; give one of them another "name", for their folders are called so`, step.Name)
		}
		seen[strings.ToLower(step.Name)] = true
	}
	return nil
}

// key is a key that a map accepts, with the function that reads its value.
type key struct {
	name string
	read func(*yaml.Node) error
}

// readMap reads a map that accepts only the given keys.
func readMap(node *yaml.Node, what string, keys []key) error {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: %s takes the keys %s, got %s", node.Line, what, strings.Join(names, ", "), shown(node))
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		at := slices.Index(names, name.Value)
		if at < 0 {
			return fmt.Errorf("line %d: %s takes no key %q; it takes %s", name.Line, what, name.Value, strings.Join(names, ", "))
		}
		for j := 0; j < i; j += 2 {
			if node.Content[j].Value == name.Value {
				return fmt.Errorf("line %d: the key %q is there twice", name.Line, name.Value)
			}
		}
		if err := keys[at].read(value); err != nil {
			if strings.HasPrefix(err.Error(), "line ") {
				return err // the error is of a nested value and has its line
			}
			return fmt.Errorf("line %d: %s of %s %w, got %s", value.Line, name.Value, what, err, shown(value))
		}
	}
	return nil
}

// shown describes a value in an error message.
func shown(node *yaml.Node) string {
	switch node.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	default:
		return strconv.Quote(node.Value)
	}
}

func list(name string, read func(*yaml.Node) error) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		if node.Kind != yaml.SequenceNode || len(node.Content) > mostSteps {
			return fmt.Errorf("must be a list of at most %d %s", mostSteps, name)
		}
		for _, item := range node.Content {
			if err := read(item); err != nil {
				return err
			}
		}
		return nil
	}
}

// oneLine returns a reader of a text of one line.
func oneLine(into *string) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		if node.Kind != yaml.ScalarNode || node.Value == "" || node.Tag == "!!null" || strings.ContainsAny(node.Value, "\r\n") {
			return errors.New("must be a text of one line")
		}
		*into = node.Value
		return nil
	}
}

func flag(into *bool) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		if node.Kind != yaml.ScalarNode || node.Value != "true" && node.Value != "false" {
			return errors.New("must be true or false")
		}
		*into = node.Value == "true"
		return nil
	}
}

func number(into **float64) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		value, err := strconv.ParseFloat(node.Value, 64)
		if node.Kind != yaml.ScalarNode || err != nil || value-value != 0 { // not finite
			return errors.New("must be a number")
		}
		*into = &value
		return nil
	}
}

func duration(into *float64) func(*yaml.Node) error {
	return func(node *yaml.Node) error {
		value, err := time.ParseDuration(node.Value)
		if node.Kind != yaml.ScalarNode || err != nil || value < 0 || value > time.Hour {
			return errors.New("must be a duration of at most 1h such as 30s")
		}
		*into = value.Seconds()
		return nil
	}
}

func readStep(node *yaml.Node, into *[]planStep) error {
	step := planStep{line: node.Line, variables: map[string]string{}}
	var dry bool
	err := readMap(node, "a step", []key{
		{"profile", oneLine(&step.profile)},
		{"name", oneLine(&step.name)},
		{"variables", func(value *yaml.Node) error { return readVariables(value, step.variables) }},
		{"dry", func(value *yaml.Node) error {
			step.dry = &dry
			return flag(&dry)(value)
		}},
		{"accept-not-proven", flag(&step.acceptNotProven)},
		{"limits", list("limits", func(item *yaml.Node) error { return readLimit(item, &step.limits) })},
	})
	*into = append(*into, step)
	return err
}

var variableName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// notInAPlan are variables that a plan must not set, and why: the campaign sets them itself, they are secrets, or they name the service.
var notInAPlan = map[string]string{ //nolint:gochecknoglobals // a constant table
	"BASE_URL":                "set it in the environment, so that one plan serves several targets",
	"STRIPE_WEBHOOK_SECRET":   "it is a secret: set it in the environment",
	"PROMETHEUS_BEARER_TOKEN": "it is a secret: set it in the environment",
	"REDIS_URL":               "it may hold a password: set it in the environment",
	"PROMETHEUS_URL":          "set it in the environment, so that one plan serves several targets",
	"PROFILE":                 `name the profile under "profile"`,
	"PROFILES_FILE":           "set it in the environment, or give --profiles-file",
	"REPORT_DIR":              "give --report-dir; each step has a folder in it",
	"START_AT":                "a step begins when the one before has passed; give --window",
	"USE_SIMPLE":              "a step has a profile, which says how many users there are",
	"PREFLIGHT_ONLY":          "a step is a load; use k6 x verity preflight to look only",
}

func readVariables(node *yaml.Node, into map[string]string) error {
	if node.Kind != yaml.MappingNode {
		return errors.New("must be a map of variables of the scenario, such as { TARGET_VUS: 200 }")
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		_, isThere := into[name.Value]
		switch {
		case !variableName.MatchString(name.Value):
			return fmt.Errorf("line %d: the name of a variable is such as TARGET_VUS, got %q", name.Line, name.Value)
		case notInAPlan[name.Value] != "":
			return fmt.Errorf("line %d: a plan does not set %s; %s", name.Line, name.Value, notInAPlan[name.Value])
		case strings.HasPrefix(name.Value, "K6_"):
			return fmt.Errorf("line %d: a plan does not set %s, a variable of k6; set it in the environment, or give k6's flag after --", name.Line, name.Value)
		case isThere:
			return fmt.Errorf("line %d: the variable %s is there twice", name.Line, name.Value)
		}
		var text string
		if err := oneLine(&text)(value); err != nil {
			return fmt.Errorf("line %d: %s %w, got %s", value.Line, name.Value, err, shown(value))
		}
		into[name.Value] = text
	}
	return nil
}

func readLimit(node *yaml.Node, into *[]Limit) error {
	var limit Limit
	err := readMap(node, "a limit", []key{
		{"name", oneLine(&limit.Name)},
		{"query", oneLine(&limit.Query)},
		{"above", number(&limit.Above)},
		{"below", number(&limit.Below)},
		{"for", duration(&limit.ForSeconds)},
	})
	switch {
	case err != nil:
		return err
	case limit.Name == "" || limit.Query == "":
		return fmt.Errorf(`line %d: a limit takes "name" and "query", an expression of PromQL`, node.Line)
	case (limit.Above == nil) == (limit.Below == nil):
		return fmt.Errorf(`line %d: the limit %q takes "above" or "below", a number, and not both`, node.Line, limit.Name)
	}
	*into = append(*into, limit)
	return nil
}

// Selection says which steps of a plan to run.
type Selection struct {
	From, Until string   // "" means the first and the last
	Only        []string // the steps to run; empty means From to Until
}

// Select returns the plan with the selected steps only.
func (p Plan) Select(wanted Selection) (Plan, error) {
	if len(wanted.Only) > 0 && wanted.From+wanted.Until != "" {
		return Plan{}, errors.New("--only excludes --from and --until: it names the steps itself")
	}
	from, err := p.index("--from", wanted.From, 0)
	if err != nil {
		return Plan{}, err
	}
	until, err := p.index("--until", wanted.Until, len(p.Steps)-1)
	if err != nil {
		return Plan{}, err
	}
	if from > until {
		return Plan{}, fmt.Errorf("--from %s comes after --until %s; the steps are %s", wanted.From, wanted.Until, p.names())
	}
	selected := Plan{p.Name, slices.Clone(p.Steps[from : until+1])}
	if len(wanted.Only) == 0 {
		return selected, nil
	}
	for _, name := range wanted.Only {
		if _, err := p.index("--only", name, 0); err != nil {
			return Plan{}, err
		}
	}
	selected.Steps = slices.DeleteFunc(selected.Steps, func(s Step) bool { return !slices.Contains(wanted.Only, s.Name) })
	return selected, nil
}

// index returns the index of the step that a flag names; otherwise if name is "".
func (p Plan) index(flagName, name string, otherwise int) (int, error) {
	if name == "" {
		return otherwise, nil
	}
	at := slices.IndexFunc(p.Steps, func(s Step) bool { return s.Name == name })
	if at < 0 {
		return 0, fmt.Errorf("%s must be one of the steps %s, got %q", flagName, p.names(), name)
	}
	return at, nil
}

func (p Plan) names() string {
	names := make([]string, len(p.Steps))
	for i, step := range p.Steps {
		names[i] = step.Name
	}
	return strings.Join(names, ", ")
}

// Length returns the length of all steps together, without the waits between them.
func (p Plan) Length() time.Duration {
	var sum time.Duration
	for _, step := range p.Steps {
		sum += step.Length()
	}
	return sum
}
