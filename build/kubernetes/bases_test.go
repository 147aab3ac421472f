package kubernetes_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	image      = "registry.example.com/xk6-verity:latest"
	secretName = "verity-secrets"
	results    = "/results"
)

var folders = []string{"job", "testrun"}

// podOf is that of a Job.
func podOf(t *testing.T, job batchv1.Job) corev1.PodSpec {
	t.Helper()
	require.Len(t, job.Spec.Template.Spec.Containers, 1)
	require.Empty(t, job.Spec.Template.Spec.InitContainers)
	return job.Spec.Template.Spec
}

// requirePod requires of a pod what both kinds of runners and the merge need: the image, the variables, the volume, and no more rights than that.
func requirePod(t *testing.T, b base, pod corev1.PodSpec) {
	t.Helper()
	container := pod.Containers[0]
	require.Equal(t, image, container.Image)
	require.Empty(t, container.Env, "variables come from the ConfigMap and the Secret")
	require.Contains(t, container.EnvFrom, corev1.EnvFromSource{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: b.run.Name}}})

	claims := map[string]string{}
	for _, volume := range pod.Volumes {
		if volume.PersistentVolumeClaim != nil {
			claims[volume.Name] = volume.PersistentVolumeClaim.ClaimName
			continue
		}
		require.NotNil(t, volume.EmptyDir, volume.Name)
		claims[volume.Name] = ""
	}
	paths := map[string]string{}
	for _, mount := range container.VolumeMounts {
		require.Contains(t, claims, mount.Name)
		paths[mount.MountPath] = claims[mount.Name]
	}
	require.Equal(t, map[string]string{results: b.volume.Name, "/tmp": ""}, paths)
	require.True(t, strings.HasPrefix(b.run.Data["REPORT_DIR"], results+"/"), b.run.Data["REPORT_DIR"])

	require.True(t, *pod.SecurityContext.RunAsNonRoot)
	require.EqualValues(t, 12345, *pod.SecurityContext.RunAsUser, "the user of the image")
	require.True(t, *container.SecurityContext.ReadOnlyRootFilesystem)
	require.False(t, *container.SecurityContext.AllowPrivilegeEscalation)
	require.Equal(t, []corev1.Capability{"ALL"}, container.SecurityContext.Capabilities.Drop)
	require.False(t, *pod.AutomountServiceAccountToken)
	require.Equal(t, corev1.RestartPolicyNever, pod.RestartPolicy)
	require.Equal(t, container.Resources.Requests.Memory(), container.Resources.Limits.Memory())
	require.False(t, container.Resources.Requests.Cpu().IsZero())
	require.True(t, container.Resources.Limits.Cpu().IsZero(), "a runner that is throttled reports the wait as latency")
}

func TestTheIndexedJob(t *testing.T) {
	b := build(t, "job")
	require.Nil(t, b.testRun)
	require.Len(t, b.jobs, 2)
	job := b.jobs["verity-runners"]
	pod := podOf(t, job)
	requirePod(t, b, pod)
	require.Equal(t, []string{secretName}, secretsOf(pod.Containers[0]))

	require.Equal(t, batchv1.IndexedCompletion, *job.Spec.CompletionMode)
	require.Equal(t, *job.Spec.Completions, *job.Spec.Parallelism, "all runners at once")
	require.EqualValues(t, 0, *job.Spec.BackoffLimitPerIndex, "no runner is tried again")
	require.Nil(t, job.Spec.BackoffLimit, "the first runner that fails must not end the others")
	require.Nil(t, job.Spec.MaxFailedIndexes)
	require.GreaterOrEqual(t, *pod.TerminationGracePeriodSeconds, int64(30))

	requireApart(t, job)

	command := strings.Join(pod.Containers[0].Command, " ")
	require.Contains(t, command, fmt.Sprintf("$$(k6 x verity segment %d)", *job.Spec.Completions))
	requireScenario(t, b, command)
	requireMerge(t, b)
}

func TestTheTestRun(t *testing.T) {
	b := build(t, "testrun")
	require.Len(t, b.jobs, 1)
	require.NotNil(t, b.testRun)
	for i, job := range runnerJobs(t, b.testRun) {
		pod := podOf(t, job)
		requirePod(t, b, pod)
		require.Equal(t, []string{secretName}, secretsOf(pod.Containers[0]), "runner %d", i+1)
		requireApart(t, job)
		require.GreaterOrEqual(t, pod.Containers[0].LivenessProbe.TimeoutSeconds, int32(5))
	}
	requireScenario(t, b, b.testRun.Spec.Script.LocalFile)
	requireMerge(t, b)
}

// requireApart requires that runners avoid each other: by labels that they have.
func requireApart(t *testing.T, job batchv1.Job) {
	t.Helper()
	preferred := podOf(t, job).Affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	require.Len(t, preferred, 1)
	require.Equal(t, "kubernetes.io/hostname", preferred[0].PodAffinityTerm.TopologyKey)
	require.NotEmpty(t, preferred[0].PodAffinityTerm.LabelSelector.MatchLabels)
	for name, value := range preferred[0].PodAffinityTerm.LabelSelector.MatchLabels {
		require.Equal(t, value, job.Spec.Template.Labels[name], name)
	}
}

// requireScenario requires the scenario of the profile that is run.
func requireScenario(t *testing.T, b base, command string) {
	t.Helper()
	text, err := os.ReadFile("../../js/profiles.json")
	require.NoError(t, err)
	var profiles []struct{ Name, Scenario string }
	require.NoError(t, json.Unmarshal(text, &profiles))
	for _, profile := range profiles {
		if profile.Name == b.run.Data["PROFILE"] {
			require.Regexp(t, `(^| |/)load-test/`+profile.Scenario+`\.js$`, command)
			return
		}
	}
	require.Fail(t, "no such profile", b.run.Data["PROFILE"])
}

func requireMerge(t *testing.T, b base) {
	t.Helper()
	job := b.jobs["verity-merge"]
	pod := podOf(t, job)
	requirePod(t, b, pod)
	require.Empty(t, secretsOf(pod.Containers[0]), "merging needs no secret")
	require.EqualValues(t, 0, *job.Spec.BackoffLimit, "a verdict is not tried again")
	require.Equal(t, []string{"k6", "x", "verity", "merge"}, pod.Containers[0].Command[:4])
	require.Equal(t, "$(REPORT_DIR)", pod.Containers[0].Command[len(pod.Containers[0].Command)-1])
}

func secretsOf(container corev1.Container) (names []string) {
	for _, from := range container.EnvFrom {
		if from.SecretRef != nil {
			names = append(names, from.SecretRef.Name)
		}
	}
	return names
}

func TestTheVolumeIsForManyAtOnce(t *testing.T) {
	for _, dir := range folders {
		require.Equal(t, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, build(t, dir).volume.Spec.AccessModes)
	}
}

func TestThePodThatCopies(t *testing.T) {
	text, err := os.ReadFile("copy.yaml")
	require.NoError(t, err)
	var pod corev1.Pod
	require.NoError(t, yaml.UnmarshalStrict(text, &pod))
	require.Equal(t, image, pod.Spec.Containers[0].Image)
	require.Equal(t, build(t, "job").volume.Name, pod.Spec.Volumes[0].PersistentVolumeClaim.ClaimName)
	require.Equal(t, pod.Spec.Volumes[0].Name, pod.Spec.Containers[0].VolumeMounts[0].Name)
}

// START_AT is one moment for all runners: the command of README.md puts it in.
func TestTheStartIsPutInAsTheReadmeSays(t *testing.T) {
	b := build(t, "job")
	want := map[string]string{
		"BASE_URL": "https://staging.example.com", "PROFILE": "queue-dry", "REPORT_DIR": "/results/queue-dry", "START_AT": "",
	}
	require.Equal(t, want, b.run.Data)
	require.NotContains(t, build(t, "testrun").run.Data, "START_AT", "the operator starts them")

	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```sh\n(START_AT=.*?)```").FindSubmatch(readme)
	require.NotNil(t, block)
	built := filepath.Join(t.TempDir(), "built.yaml")
	require.NoError(t, os.WriteFile(built, []byte(documentsOf(t, "job")), 0o600))
	script := `kubectl() { case "$*" in "kustomize build/kubernetes/job") cat "$BUILT" ;; "apply -f -") cat ;; *) echo "unexpected: kubectl $*" >&2; exit 1 ;; esac; }` +
		"\n" + string(block[1])
	cmd := exec.CommandContext(t.Context(), "sh", "-euc", script)
	cmd.Env = append(os.Environ(), "BUILT="+built)
	before := time.Now()
	applied, err := cmd.Output()
	require.NoError(t, err)
	for document := range strings.SplitSeq(string(applied), "\n---\n") {
		var run corev1.ConfigMap
		if strings.Contains(document, "kind: ConfigMap") {
			require.NoError(t, yaml.UnmarshalStrict([]byte(document), &run))
			start, err := time.Parse(time.RFC3339, run.Data["START_AT"])
			require.NoError(t, err)
			require.WithinDuration(t, before.Add(5*time.Minute), start, 10*time.Second)
			want["START_AT"] = run.Data["START_AT"]
			require.Equal(t, want, run.Data)
			return
		}
	}
	require.Fail(t, "no ConfigMap was applied", "%s", applied)
}

// documentsOf is what `kubectl kustomize` prints.
func documentsOf(t *testing.T, dir string) string {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	text, err := resources.AsYaml()
	require.NoError(t, err)
	return string(text)
}

// One name of an image and one address are all that has to be changed.
func TestOneImageAndOneAddress(t *testing.T) {
	for _, dir := range folders {
		copied := t.TempDir()
		require.NoError(t, os.CopyFS(copied, os.DirFS(".")))
		change(t, filepath.Join(copied, dir, "kustomization.yaml"), "newName: registry.example.com/xk6-verity", "newName: verity.azurecr.io/load/k6")
		change(t, filepath.Join(copied, dir, "run.env"), "BASE_URL=https://staging.example.com", "BASE_URL=https://verity.test")
		was, is := asText(t, build(t, dir)), asText(t, build(t, filepath.Join(copied, dir)))
		require.NotContains(t, is, "example.com")
		was = strings.ReplaceAll(was, "registry.example.com/xk6-verity", "verity.azurecr.io/load/k6")
		require.Equal(t, strings.ReplaceAll(was, "https://staging.example.com", "https://verity.test"), is)
		require.Equal(t, map[string]int{"job": 2, "testrun": 3}[dir], strings.Count(is, "verity.azurecr.io/load/k6:latest"))
	}
}

func change(t *testing.T, path, was, is string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), was), "once, so that it has to be changed once")
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(text), was, is, 1)), 0o600))
}

func asText(t *testing.T, b base) string {
	t.Helper()
	text, err := yaml.Marshal(b.documents)
	require.NoError(t, err)
	return string(text)
}

// No variable is given by `env`, and the secret by its name alone, to runners and to nothing else. What is under `env` of a TestRun, k6-operator
// puts into the command line of its initializer.
func TestNoSecretIsInAManifest(t *testing.T) {
	for _, dir := range folders {
		b := build(t, dir)
		require.NotContains(t, asText(t, b), "STRIPE_WEBHOOK_SECRET")
		require.NotRegexp(t, `whsec_|kind: Secret`, asText(t, b))
		for _, document := range b.documents {
			walk(document, "", func(path string, _ any) {
				require.NotRegexp(t, `\.env$`, path, "%s", document["kind"])
				if strings.HasSuffix(path, ".secretRef") {
					require.Regexp(t, `^\.spec\.(runner|template\.spec\.containers)\.envFrom\.secretRef$`, path)
				}
			})
		}
		require.Equal(t, 1, strings.Count(asText(t, b), "secretRef"))
	}
	// As they are written too, comments and what is switched off included.
	require.NoError(t, filepath.WalkDir(".", func(path string, _ os.DirEntry, err error) error {
		if err == nil && regexp.MustCompile(`\.(ya?ml|env)$`).MatchString(path) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotRegexp(t, `STRIPE_WEBHOOK_SECRET\s*[=:]|name:\s*STRIPE_WEBHOOK_SECRET|whsec_`, string(text), path)
		}
		return err
	}))
}

// walk calls visit with each field, by a path without the places in lists.
func walk(value any, path string, visit func(path string, value any)) {
	visit(path, value)
	switch value := value.(type) {
	case map[string]any:
		for name, field := range value {
			walk(field, path+"."+name, visit)
		}
	case []any:
		for _, item := range value {
			walk(item, path, visit)
		}
	}
}
