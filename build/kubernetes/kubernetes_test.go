// Package kubernetes_test holds the manifests of this folder against what they are for: kustomize builds the bases, Kubernetes' own types and
// the schema of k6-operator's resource read them, and the operator's own code says what it would make of them.
//
// It is a module of its own, so that the extension does not depend on Kubernetes: cd build/kubernetes && go test ./...
package kubernetes_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/grafana/k6-operator/api/v1alpha1"
	"github.com/stretchr/testify/require"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// base is what one of the folders is built to.
type base struct {
	jobs    map[string]batchv1.Job
	run     corev1.ConfigMap
	volume  corev1.PersistentVolumeClaim
	testRun *v1alpha1.TestRun // nil in the base without an operator
	// documents are all of them as they are applied.
	documents []map[string]any
}

// build builds a folder as `kubectl apply -k` does. Each document must be, to the last field, of the type that it says it is.
func build(t *testing.T, dir string) base {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	require.NoError(t, err)
	b := base{jobs: map[string]batchv1.Job{}}
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		require.NoError(t, err)
		var document map[string]any
		require.NoError(t, yaml.Unmarshal(text, &document))
		b.documents = append(b.documents, document)
		switch resource.GetApiVersion() + " " + resource.GetKind() {
		case "batch/v1 Job":
			var job batchv1.Job
			require.NoError(t, yaml.UnmarshalStrict(text, &job), "%s", text)
			b.jobs[job.Name] = job
		case "v1 ConfigMap":
			require.NoError(t, yaml.UnmarshalStrict(text, &b.run), "%s", text)
		case "v1 PersistentVolumeClaim":
			require.NoError(t, yaml.UnmarshalStrict(text, &b.volume), "%s", text)
		case "k6.io/v1alpha1 TestRun":
			b.testRun = &v1alpha1.TestRun{}
			require.NoError(t, yaml.UnmarshalStrict(text, b.testRun), "%s", text)
			requireSchema(t, document)
		default:
			require.Fail(t, "unexpected document", "%s", text)
		}
	}
	return b
}

// moduleFolder is where go keeps the source of a module.
func moduleFolder(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// testRunSchema is that of the resource TestRun as k6-operator ships it.
func testRunSchema(t *testing.T) *apiextensions.JSONSchemaProps {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleFolder(t, "github.com/grafana/k6-operator"), "config/crd/bases/k6.io_testruns.yaml"))
	require.NoError(t, err)
	var definition apiextensionsv1.CustomResourceDefinition
	require.NoError(t, yaml.UnmarshalStrict(text, &definition))
	require.Len(t, definition.Spec.Versions, 1)
	require.Equal(t, "v1alpha1", definition.Spec.Versions[0].Name)
	var schema apiextensions.JSONSchemaProps
	require.NoError(t, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		definition.Spec.Versions[0].Schema.OpenAPIV3Schema, &schema, nil))
	return &schema
}

// schemaErrors are what the API server would refuse in a TestRun, and the fields that it would drop.
func schemaErrors(t *testing.T, document map[string]any) (refused []string, dropped []string) {
	t.Helper()
	schema := testRunSchema(t)
	validator, _, err := validation.NewSchemaValidator(schema)
	require.NoError(t, err)
	for _, err := range validation.ValidateCustomResource(nil, document, validator) {
		refused = append(refused, err.Error())
	}
	shape, err := structural.NewStructural(schema)
	require.NoError(t, err)
	return refused, pruning.PruneWithOptions(copyOf(t, document), shape, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
}

func requireSchema(t *testing.T, document map[string]any) {
	t.Helper()
	refused, dropped := schemaErrors(t, document)
	require.Empty(t, refused)
	require.Empty(t, dropped, "the API server drops what the schema does not know")
}

func copyOf(t *testing.T, document map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(document)
	require.NoError(t, err)
	var other map[string]any
	require.NoError(t, json.Unmarshal(text, &other))
	return other
}

// What the tests hold the TestRun against finds a mistake in it.
func TestTheSchemaFindsMistakes(t *testing.T) {
	document := func(change func(spec map[string]any)) map[string]any {
		spec := map[string]any{"parallelism": int64(4), "script": map[string]any{"localFile": "/x.js"}}
		change(spec)
		return map[string]any{"apiVersion": "k6.io/v1alpha1", "kind": "TestRun", "metadata": map[string]any{"name": "x"}, "spec": spec}
	}
	for name, tc := range map[string]struct {
		change           func(spec map[string]any)
		refused, dropped []string
	}{
		"none": {change: func(map[string]any) {}},
		"a wrong word": {
			change:  func(spec map[string]any) { spec["cleanup"] = "always" },
			refused: []string{`spec.cleanup: Unsupported value: "always": supported values: "post"`},
		},
		"a wrong type": {
			change:  func(spec map[string]any) { spec["parallelism"] = "4" },
			refused: []string{`spec.parallelism: Invalid value: "string": spec.parallelism in body must be of type integer: "string"`},
		},
		"a field that is missing": {
			change:  func(spec map[string]any) { delete(spec, "script") },
			refused: []string{"spec.script: Required value"},
		},
		"a field that is not there": {
			change:  func(spec map[string]any) { spec["runner"] = map[string]any{"envfrom": []any{}} },
			dropped: []string{"spec.runner.envfrom"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			refused, dropped := schemaErrors(t, document(tc.change))
			require.Equal(t, tc.refused, refused)
			require.Equal(t, tc.dropped, dropped)
		})
	}
}
