// Records what cel-go gives for the expressions that muster-cel is tested with, with the libraries the API server gives it.
//
// Usage: go run . ../../../proto/cel/tests
//
// It reads cases.yaml of the folder and writes `cel-go.txt` beside it: one line for each expression, in the order of
// the file: true, false, error (when it runs) or unreadable, a blank, and the expression.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	"go.yaml.in/yaml/v3"
)

func main() {
	if len(os.Args) != 2 {
		fail("usage: cel FOLDER")
	}
	content, err := os.ReadFile(filepath.Join(os.Args[1], "cases.yaml"))
	if err != nil {
		fail(err.Error())
	}
	var groups []struct {
		Object any    `yaml:"object"`
		Cases  string `yaml:"cases"`
	}
	if err := yaml.Unmarshal(content, &groups); err != nil {
		fail(err.Error())
	}
	env, err := cel.NewEnv(
		cel.Variable("self", cel.DynType),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		ext.Strings(ext.StringsVersion(2)),
	)
	if err != nil {
		fail(err.Error())
	}
	var lines strings.Builder
	for _, group := range groups {
		object := whole(group.Object)
		for line := range strings.Lines(group.Cases) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			_, expression, _ := strings.Cut(strings.TrimRight(line, "\n"), " ")
			fmt.Fprintln(&lines, strings.TrimRight(evaluate(env, expression, object)+" "+expression, " "))
		}
	}
	if err := os.WriteFile(filepath.Join(os.Args[1], "cel-go.txt"), []byte(lines.String()), 0o644); err != nil {
		fail(err.Error())
	}
}

func evaluate(env *cel.Env, expression string, object any) string {
	// Read without types, as the object has none: what 1 == 'a' gives is decided when it runs.
	ast, issues := env.Parse(expression)
	if issues.Err() != nil {
		return "unreadable"
	}
	program, err := env.Program(ast)
	if err != nil {
		return "unreadable"
	}
	result, _, err := program.Eval(map[string]any{"self": object})
	if err != nil {
		return "error"
	}
	if value, is := result.Value().(bool); is {
		return fmt.Sprint(value)
	}
	return "error"
}

// whole turns whole numbers into those of an object that comes from an API server.
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
	case int:
		return int64(value)
	}
	return value
}

func fail(message string) {
	fmt.Fprintln(os.Stderr, "cel:", message)
	os.Exit(1)
}
