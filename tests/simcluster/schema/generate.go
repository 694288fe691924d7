// Writes kubernetes.txt: the shape of the built-in kinds as the simulation needs it.
//
// It reads the OpenAPI v2 document of a real API server from standard input (list types, keys, atomic
// types) and the Go types by reflection (what is not in OpenAPI: which fields are written even when empty, which decides
// what managedFields contain, and protobuf's numbers). README.md says how to run it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"

	crd "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	api "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

type property struct {
	Ref    string               `json:"$ref"`
	Type   string               `json:"type"`
	Format string               `json:"format"`
	Items  *property            `json:"items"`
	Values *property            `json:"additionalProperties"`
	List   string               `json:"x-kubernetes-list-type"`
	Keys   []string             `json:"x-kubernetes-list-map-keys"`
	Map    string               `json:"x-kubernetes-map-type"`
	Merge  string               `json:"x-kubernetes-patch-merge-key"`
	Fields map[string]*property `json:"properties"`
}

var definitions map[string]*property
var lines = map[string]string{}

func short(name string) string {
	name = name[strings.LastIndex(name, "/")+1:]
	for _, prefix := range []string{"io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.apimachinery.pkg.",
		"io.k8s.apiextensions-apiserver.pkg.apis.", "io.k8s.kube-aggregator.pkg.apis."} {
		name = strings.TrimPrefix(name, prefix)
	}
	return name
}

// What a value of this type is in the table; visits the types it refers to.
func describe(p *property, t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if p.Ref != "" {
		target := definitions[p.Ref[len("#/definitions/"):]]
		name := short(p.Ref)
		switch name {
		case "api.resource.Quantity":
			return "q"
		case "util.intstr.IntOrString":
			return "x"
		case "meta.v1.Time", "meta.v1.MicroTime":
			return "t"
		case "runtime.RawExtension":
			return "%*"
		case "meta.v1.FieldsV1", "apiextensions.v1.JSON", "apiextensions.v1.JSONSchemaPropsOrBool",
			"apiextensions.v1.JSONSchemaPropsOrArray", "apiextensions.v1.JSONSchemaPropsOrStringArray":
			return "*"
		}
		if target.Fields == nil || t.Kind() != reflect.Struct {
			return describe(target, t)
		}
		visit(name, target, t)
		if target.Map == "atomic" || p.Map == "atomic" {
			return "#" + name
		}
		return "@" + name
	}
	switch p.Type {
	case "string":
		if p.Format == "byte" {
			return "y"
		}
		if p.Format == "int-or-string" {
			return "x"
		}
		return "s"
	case "integer":
		return "i"
	case "number":
		return "n"
	case "boolean":
		return "b"
	case "array":
		of := describe(p.Items, t.Elem())
		switch p.List {
		case "set":
			return "(" + of
		case "map":
			var keys []string
			for _, key := range p.Keys {
				// The one key with a default; version 2 of OpenAPI does not carry defaults.
				if key == "protocol" {
					key += "=TCP"
				}
				keys = append(keys, key)
			}
			if p.Merge != "" && p.Merge != p.Keys[0] {
				panic(p.Merge)
			}
			return "[" + strings.Join(keys, ",") + "]" + of
		}
		if p.Merge != "" {
			return "[~" + p.Merge + "]" + of
		}
		return "[]" + of
	case "object":
		if p.Values == nil {
			return "*"
		}
		open := "{"
		if p.Map == "atomic" {
			open = "%"
		}
		return open + describe(p.Values, t.Elem())
	}
	return "*"
}

func visit(name string, p *property, t reflect.Type) {
	if _, seen := lines[name]; seen {
		return
	}
	lines[name] = ""
	fields := fieldsOf(t)
	var names []string
	for field := range p.Fields {
		names = append(names, field)
	}
	sort.Strings(names)
	words := []string{name}
	for _, field := range names {
		f, known := fields[field]
		if !known {
			panic(name + "." + field)
		}
		tag := "," + f.Tag.Get("json") + ","
		empty := strings.Contains(tag, ",omitempty,")
		zero := strings.Contains(tag, ",omitzero,")
		mark := ""
		if f.Type.Kind() == reflect.Pointer {
			mark = "&"
		}
		if !zero && (!empty || f.Type.Kind() == reflect.Struct) {
			mark = "+"
			if f.Type.Kind() == reflect.Pointer {
				mark = "?"
			}
		}
		words = append(words, mark+field+"="+f.number+":"+describe(p.Fields[field], f.Type))
	}
	lines[name] = strings.Join(words, " ")
}

type numbered struct {
	reflect.StructField
	// The number of the field in protobuf; where Go embeds a structure, that of the structure before it.
	number string
}

func fieldsOf(t reflect.Type) map[string]numbered {
	found := map[string]numbered{}
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		name := strings.Split(f.Tag.Get("json"), ",")[0]
		number := "0"
		if tag := strings.Split(f.Tag.Get("protobuf"), ","); len(tag) > 1 {
			number = tag[1]
		}
		if f.Anonymous && name == "" {
			for inner, field := range fieldsOf(f.Type) {
				field.number = number + "." + field.number
				found[inner] = field
			}
			continue
		}
		found[name] = numbered{f, number}
	}
	return found
}

func main() {
	var document struct{ Definitions map[string]*property }
	if err := json.NewDecoder(os.Stdin).Decode(&document); err != nil {
		panic(err)
	}
	definitions = document.Definitions
	s := runtime.NewScheme()
	scheme.AddToScheme(s)
	crd.AddToScheme(s)
	api.AddToScheme(s)
	var kinds []string
	for gvk, t := range s.AllKnownTypes() {
		if strings.HasSuffix(gvk.Kind, "List") || strings.Contains(gvk.Version, "alpha") || strings.Contains(gvk.Version, "beta") {
			continue
		}
		path := strings.Split(t.PkgPath(), "/")
		if gvk.Version != path[len(path)-1] {
			continue
		}
		prefix := "io.k8s.api."
		if strings.Contains(t.PkgPath(), "apiextensions") {
			prefix = "io.k8s.apiextensions-apiserver.pkg.apis."
		}
		if strings.Contains(t.PkgPath(), "apiregistration") {
			prefix = "io.k8s.kube-aggregator.pkg.apis."
		}
		name := prefix + path[len(path)-2] + "." + path[len(path)-1] + "." + gvk.Kind
		if p := definitions[name]; p != nil {
			visit(short(name), p, t)
			kinds = append(kinds, gvk.GroupVersion().String()+"/"+gvk.Kind+" "+short(name))
		}
	}
	visit("meta.v1.DeleteOptions", definitions["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"],
		reflect.TypeFor[meta.DeleteOptions]())
	kinds = append(kinds, "meta.k8s.io/v1/DeleteOptions meta.v1.DeleteOptions")
	sort.Strings(kinds)
	for _, kind := range kinds {
		fmt.Println("kind", kind)
	}
	var types []string
	for _, line := range lines {
		types = append(types, line)
	}
	sort.Strings(types)
	for _, line := range types {
		fmt.Println("type", line)
	}
}
