package kubernetes_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"regexp"
	"testing"

	"github.com/grafana/k6-operator/api/v1alpha1"
	"github.com/grafana/k6-operator/pkg/cloud"
	"github.com/grafana/k6-operator/pkg/resources/jobs"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
)

var update = flag.Bool("update", false, "write the commands that the tests in load-test run")

// runnerJobs are those that k6-operator makes of a TestRun, by its own code.
func runnerJobs(t *testing.T, testRun *v1alpha1.TestRun) []batchv1.Job {
	t.Helper()
	warnings, err := testRun.GetSpec().Validate()
	require.NoError(t, err)
	require.Empty(t, warnings)
	list := make([]batchv1.Job, testRun.Spec.Parallelism)
	for i := range list {
		job, err := jobs.NewRunnerJob(testRun.DeepCopy(), i+1, cloud.NewTokenInfo("", ""))
		require.NoError(t, err)
		list[i] = *job
	}
	return list
}

// The initializer is switched off. Of an operator that runs it all the same it has no variable and no secret.
func TestTheInitializerHasNoSecret(t *testing.T) {
	testRun := build(t, "testrun").testRun
	require.True(t, testRun.IsInitializerDisabled())
	job, err := jobs.NewInitializerJob(testRun.DeepCopy(), "")
	require.NoError(t, err)
	container := podOf(t, *job).Containers[0]
	require.Empty(t, container.EnvFrom)
	require.Empty(t, container.Env)
	require.NotContains(t, container.Command[2], " -e ")
	require.Equal(t, image, container.Image)
}

// What the comments of testrun.yaml warn of is what the operator does.
func TestTheOperatorPutsVariablesIntoTheCommandOfItsInitializer(t *testing.T) {
	testRun := build(t, "testrun").testRun
	testRun.Spec.Initializer = nil
	copied, err := jobs.NewInitializerJob(testRun.DeepCopy(), "")
	require.NoError(t, err)
	require.Equal(t, []string{secretName}, secretsOf(podOf(t, *copied).Containers[0]), "without a block of its own")

	require.NoError(t, json.Unmarshal([]byte(`[{"name":"STRIPE_WEBHOOK_SECRET","value":"whsec_x"}]`), &testRun.Spec.Runner.Env))
	leaking, err := jobs.NewInitializerJob(testRun.DeepCopy(), "")
	require.NoError(t, err)
	require.Contains(t, podOf(t, *leaking).Containers[0].Command[2], `-e STRIPE_WEBHOOK_SECRET="whsec_x"`)
}

// commands are what the pods run, with the variables of the ConfigMap put in as Kubernetes does.
type commands struct {
	Job struct {
		Runner []string `json:"runner"` // of each pod, which has its index in JOB_COMPLETION_INDEX
		Merge  []string `json:"merge"`
	} `json:"job"`
	TestRun struct {
		Runners [][]string `json:"runners"`
		Starter []string   `json:"starter"` // for runners at runner-1, runner-2 …
		Merge   []string   `json:"merge"`
	} `json:"testRun"`
}

const commandsFile = "../../load-test/testdata/kubernetes.json"

// Tests in load-test run these commands as they are, without a cluster.
func TestTheCommandsThatTheOtherTestsRun(t *testing.T) {
	var c commands
	job, testRun := build(t, "job"), build(t, "testrun")
	c.Job.Runner = expand(podOf(t, job.jobs["verity-runners"]).Containers[0].Command, job.run.Data)
	c.Job.Merge = expand(podOf(t, job.jobs["verity-merge"]).Containers[0].Command, job.run.Data)
	var hosts []string
	for i, runner := range runnerJobs(t, testRun.testRun) {
		c.TestRun.Runners = append(c.TestRun.Runners, expand(podOf(t, runner).Containers[0].Command, testRun.run.Data))
		hosts = append(hosts, fmt.Sprintf("runner-%d", i+1))
	}
	c.TestRun.Starter = expand(podOf(t, *jobs.NewStarterJob(testRun.testRun, hosts)).Containers[0].Command, nil)
	c.TestRun.Merge = expand(podOf(t, testRun.jobs["verity-merge"]).Containers[0].Command, testRun.run.Data)

	requireKnown(t, commandsFile, c)
}

var reference = regexp.MustCompile(`\$\$|\$\([A-Za-z_][A-Za-z0-9_.-]*\)`)

// expand puts variables in place of $(NAME) in a command; $$ is $, and what is not known stays, as Kubernetes says of Container.command.
func expand(command []string, variables map[string]string) []string {
	expanded := make([]string, len(command))
	for i, part := range command {
		expanded[i] = reference.ReplaceAllStringFunc(part, func(found string) string {
			if found == "$$" {
				return "$"
			}
			if value, isKnown := variables[found[2:len(found)-1]]; isKnown {
				return value
			}
			return found
		})
	}
	return expanded
}

func TestExpansion(t *testing.T) {
	require.Equal(t, []string{"a x b", "$(A)", "$(B)", "$ $A $("}, expand([]string{"a $(A) b", "$$(A)", "$(B)", "$$ $A $("}, map[string]string{"A": "x"}))
}
