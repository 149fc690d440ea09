package desensitize

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed policies/*.yaml
var shippedFiles embed.FS

// Shipped returns the names of the policies that come with the program, sorted.
func Shipped() []string {
	entries, err := shippedFiles.ReadDir("policies")
	if err != nil { // the folder is embedded
		return nil
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(out)
	return out
}

// ShippedSource returns the YAML of a policy that comes with the program.
func ShippedSource(name string) ([]byte, bool) {
	if !plainName(name) {
		return nil, false
	}
	data, err := shippedFiles.ReadFile(path.Join("policies", name+".yaml"))
	return data, err == nil
}

// ShippedPolicy returns a policy that comes with the program.
func ShippedPolicy(name string) (*Policy, error) {
	data, ok := ShippedSource(name)
	if !ok {
		return nil, fmt.Errorf("there is no policy of this name; shipped are %s", strings.Join(Shipped(), ", "))
	}
	return ParsePolicy(data)
}
