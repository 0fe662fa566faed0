package spec

import (
	"os"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// position finds a path of keys and indexes in a YAML file. It returns the
// place of the deepest part that is there, and how many parts that are.
func position(file string, path []string) (line, column, depth int) {
	node := parse(file)
	for node != nil && depth < len(path) {
		key, value := child(node, path[depth])
		if key == nil {
			break
		}
		line, column = key.Line, key.Column
		node = value
		depth++
	}
	return line, column, depth
}

// parse returns the top node of a file, or nil where it cannot be read.
func parse(file string) *yaml.Node {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// child is the key and the value of one entry; the key of a list's entry is
// the entry itself.
func child(node *yaml.Node, name string) (key, value *yaml.Node) {
	for node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == name {
				return node.Content[i], node.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(node.Content) {
			return node.Content[i], node.Content[i]
		}
	}
	return nil, nil
}

// findPort is the path of the ports of the first service that has an entry
// with the text that the loader complains about.
func findPort(files []string, complaint string) []string {
	bad := complaint[strings.LastIndexByte(complaint, ' ')+1:]
	for _, file := range files {
		top := parse(file)
		if top == nil {
			continue
		}
		_, services := child(top, "services")
		if services == nil || services.Kind != yaml.MappingNode {
			continue
		}
		for i := 0; i+1 < len(services.Content); i += 2 {
			_, ports := child(services.Content[i+1], "ports")
			if ports == nil {
				continue
			}
			for n, port := range ports.Content {
				if strings.Contains(port.Value, strings.Trim(bad, `"'`)) {
					return []string{"services", services.Content[i].Value, "ports", strconv.Itoa(n)}
				}
			}
		}
	}
	return []string{"services"}
}
