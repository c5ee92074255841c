// Reports for each object in a stream of JSON its health according to Argo CD's engine: one line of JSON for each. The argument is a
// health script as in resource.customizations, which Argo CD runs with the object in the global `obj`.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/gitops-engine/pkg/health"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

func main() {
	if err := run(os.Args, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string, in io.Reader, out io.Writer) error {
	if len(arguments) != 2 {
		return errors.New("usage: argo-health SCRIPT.lua < OBJECTS")
	}
	text, err := os.ReadFile(arguments[1])
	if err != nil {
		return err
	}
	objects, answers := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var object unstructured.Unstructured
		if err := objects.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		answer, err := health.GetResourceHealth(&object, script(text))
		if err != nil {
			return err
		}
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
}

type script string

func (text script) GetResourceHealth(object *unstructured.Unstructured) (*health.HealthStatus, error) {
	state := lua.NewState()
	defer state.Close()
	state.SetGlobal("obj", decoded(state, object.Object))
	if err := state.DoString(string(text)); err != nil {
		return nil, err
	}
	returned, err := luajson.Encode(state.Get(-1))
	if err != nil {
		return nil, err
	}
	var answer health.HealthStatus
	return &answer, json.Unmarshal(returned, &answer)
}

func decoded(state *lua.LState, value any) lua.LValue {
	text, err := json.Marshal(value)
	if err != nil {
		return lua.LNil
	}
	decoded, err := luajson.Decode(state, text)
	if err != nil {
		return lua.LNil
	}
	return decoded
}
