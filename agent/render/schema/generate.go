// Writes kinds.txt: which lists of the built-in kinds have merge keys, and which kinds are in a namespace.
//
// It reads the OpenAPI document of Kubernetes that kubectl's own Kustomize has built in, so that a
// patch finds the same keys in both. README.md says how to run it and what the lines mean.
package main

import (
	"fmt"
	"log"
	"sort"
	"strings"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	"google.golang.org/protobuf/proto"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/openapi/kubernetesapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

const references = "#/definitions/"

var definitions spec.Definitions

// Which definitions lead to a list with keys; false while that is being found out.
var leads = map[string]bool{}

func main() {
	version := kubernetesapi.DefaultOpenAPI
	asset := "kubernetesapi/" + strings.ReplaceAll(version, ".", "_") + "/swagger.pb"
	document := &openapi_v2.Document{}
	check(proto.Unmarshal(kubernetesapi.OpenAPIMustAsset[version](asset), document))
	var swagger spec.Swagger
	_, err := swagger.FromGnostic(document)
	check(err)
	definitions = swagger.Definitions

	for name := range definitions {
		find(name, map[string]bool{})
	}
	var kinds, types []string
	for name, definition := range definitions {
		if leads[name] {
			types = append(types, short(name)+fields(definition))
		}
		list, _ := definition.Extensions["x-kubernetes-group-version-kind"].([]interface{})
		for _, item := range list {
			if line := kind(name, item.(map[string]interface{})); line != "" {
				kinds = append(kinds, line)
			}
		}
	}
	sort.Strings(kinds)
	sort.Strings(types)
	fmt.Printf("# Kubernetes %s. Written by generate.go; do not edit.\n", version)
	fmt.Println(strings.Join(append(kinds, types...), "\n"))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func short(name string) string {
	for _, prefix := range []string{"io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.apiextensions-apiserver.pkg.apis.", "io.k8s.kube-aggregator.pkg.apis."} {
		name = strings.TrimPrefix(name, prefix)
	}
	return name
}

func kind(name string, item map[string]interface{}) string {
	version, kind := item["version"].(string), item["kind"].(string)
	if kind == "DeleteOptions" || kind == "WatchEvent" {
		return "" // parts of the protocol of every group, never in a repository
	}
	if group, _ := item["group"].(string); group != "" {
		version = group + "/" + version
	}
	scope := "-"
	if namespaced, known := openapi.IsNamespaceScoped(yaml.TypeMeta{APIVersion: version, Kind: kind}); known && namespaced {
		scope = "namespaced"
	} else if known {
		scope = "cluster"
	}
	line := fmt.Sprintf("kind %s %s %s", version, kind, scope)
	if leads[name] {
		line += " " + short(name)
	}
	return line
}

func referred(schema *spec.Schema) string {
	if schema == nil {
		return ""
	}
	return strings.TrimPrefix(schema.Ref.String(), references)
}

func keys(property *spec.Schema) ([]string, bool) {
	strategy, _ := property.Extensions["x-kubernetes-patch-strategy"].(string)
	merges := false
	for _, word := range strings.Split(strategy, ",") {
		merges = merges || word == "merge"
	}
	if !merges {
		return nil, false
	}
	if list, ok := property.Extensions["x-kubernetes-list-map-keys"].([]interface{}); ok {
		var names []string
		for _, name := range list {
			names = append(names, name.(string))
		}
		return names, true
	}
	if name, ok := property.Extensions["x-kubernetes-patch-merge-key"].(string); ok {
		return []string{name}, true
	}
	return nil, true
}

// The definition that a merge walks into below this property.
func below(property *spec.Schema) string {
	if _, merges := keys(property); merges && property.Items != nil {
		return referred(property.Items.Schema)
	}
	return referred(property)
}

func find(name string, seen map[string]bool) bool {
	if leads[name] || seen[name] {
		return leads[name]
	}
	seen[name] = true
	definition := definitions[name]
	for field, property := range definition.Properties {
		if property.AdditionalProperties != nil && referred(property.AdditionalProperties.Schema) != "" &&
			find(referred(property.AdditionalProperties.Schema), seen) {
			log.Fatalf("%s.%s: a mapping of mappings with lists, which kinds.txt cannot say", name, field)
		}
		_, merges := keys(&property)
		if target := below(&property); merges || target != "" && find(target, seen) {
			leads[name] = true
		}
	}
	return leads[name]
}

func fields(definition spec.Schema) string {
	var words []string
	for field, property := range definition.Properties {
		names, merges := keys(&property)
		target := below(&property)
		word := field
		if merges {
			word += "[" + strings.Join(names, ",") + "]"
		}
		if target != "" && leads[target] {
			word += "=" + short(target)
		}
		if merges || target != "" && leads[target] {
			words = append(words, " "+word)
		}
	}
	sort.Strings(words)
	return strings.Join(words, "")
}
