// Builds kustomizations as `kubectl kustomize` does, many in one process: kubectl takes most of its
// time to start. Each line of standard input is a directory to build; the answer to it is written into
// the file `built.yaml` or `refused.txt` of the directory's parent.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/openapi"
)

// build gives what is printed for a directory, and makes an error of a panic, as which kubectl ends.
func build(directory string) (text []byte, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	defer forgetSchema(directory)
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	objects, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		return nil, err
	}
	return objects.AsYaml()
}

// forgetSchema makes the built-in schema current again if the repository names another, which would
// stay for the process. It is not done for all, since reading the schema takes most of the time.
func forgetSchema(directory string) {
	names := false
	_ = filepath.WalkDir(filepath.Dir(directory), func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			text, _ := os.ReadFile(path)
			names = names || bytes.Contains(text, []byte("openapi"))
		}
		return nil
	})
	if names {
		openapi.ResetOpenAPI()
	}
}

func answer(directory string) error {
	name := "built.yaml"
	text, err := build(directory)
	if err != nil {
		name, text = "refused.txt", []byte(err.Error()+"\n")
	}
	return os.WriteFile(filepath.Join(filepath.Dir(directory), name), text, 0o644)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if err := answer(lines.Text()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
