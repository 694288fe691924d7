// Records what kstatus says of the objects in the health cases, for the agent's tests to compare with.
//
// Usage: go run . ../../../agent/src/health/cases
//
// It reads every *.yaml file of the folder, a list of cases with the fields `case` and `object`, and writes
// `kstatus.txt` beside them: one line for each case, `FILE: CASE: STATUS`, sorted as in the files.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

type healthCase struct {
	Case   string         `json:"case"`
	Object map[string]any `json:"object"`
}

func main() {
	if len(os.Args) != 2 {
		fail("usage: kstatus FOLDER")
	}
	files, err := filepath.Glob(filepath.Join(os.Args[1], "*.yaml"))
	if err != nil {
		fail(err.Error())
	}
	var lines strings.Builder
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			fail(err.Error())
		}
		var cases []healthCase
		if err := yaml.Unmarshal(content, &cases); err != nil {
			fail(fmt.Sprintf("%s: %v", file, err))
		}
		for _, one := range cases {
			fmt.Fprintf(&lines, "%s: %s: %s\n", filepath.Base(file), one.Case, compute(one.Object))
		}
	}
	target := filepath.Join(os.Args[1], "kstatus.txt")
	if err := os.WriteFile(target, []byte(lines.String()), 0o644); err != nil {
		fail(err.Error())
	}
}

// compute gives kstatus' word for the object, or `error` where it gives none.
func compute(object map[string]any) string {
	// Numbers from YAML are floats here and whole numbers in what an API server sends.
	whole(object)
	result, err := status.Compute(&unstructured.Unstructured{Object: object})
	if err != nil {
		return "error"
	}
	return result.Status.String()
}

func whole(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			value[key] = whole(item)
		}
	case []any:
		for index, item := range value {
			value[index] = whole(item)
		}
	case float64:
		if value == float64(int64(value)) {
			return int64(value)
		}
	}
	return value
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "kstatus:", message)
	os.Exit(1)
}
