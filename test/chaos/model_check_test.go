package chaos

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// The model is checked: a right history passes, and each wrong one does not.
func TestModelSeesBrokenPromises(t *testing.T) {
	at := int64(0)
	do := func(in input, out output) porcupine.Operation {
		at += 10
		return porcupine.Operation{Input: in, Output: out, Call: at, Return: at + 5}
	}
	look := func(count int, next uint32, high uint64, rows ...row) porcupine.Operation {
		return do(input{kind: opLook}, output{view: view{count: count, next: next, high: high, rows: rows}})
	}
	a := do(input{kind: opAppend, id: "a"}, output{uid: 1})
	seen := look(1, 2, 5, row{1, 1, "a", 0, 5})
	flag := do(input{kind: opStore, uid: 1, add: true, flags: 2, since: 5}, output{})
	for name, c := range map[string]struct {
		right bool
		last  porcupine.Operation
	}{
		"right":               {true, look(1, 2, 6, row{1, 1, "a", 2, 6})},
		"lost":                {false, look(0, 2, 6)},
		"old flags":           {false, look(1, 2, 6, row{1, 1, "a", 0, 5})},
		"twice":               {false, look(2, 3, 6, row{1, 1, "a", 2, 6}, row{2, 2, "a", 0, 6})},
		"other name":          {false, look(1, 2, 6, row{1, 1, "b", 2, 6})},
		"UIDNEXT back":        {false, look(1, 1, 6, row{1, 1, "a", 2, 6})},
		"MODSEQ back":         {false, look(1, 2, 4, row{1, 1, "a", 2, 4})},
		"MODSEQ not risen":    {false, look(1, 2, 5, row{1, 1, "a", 2, 5})},
		"condition not held":  {false, do(input{kind: opStore, uid: 1, add: true, flags: 4, since: 5}, output{})},
		"UID used again":      {false, do(input{kind: opAppend, id: "b"}, output{uid: 1})},
		"copied without word": {false, do(input{kind: opCopy, uid: 1}, output{})},
		"condition held":      {true, do(input{kind: opStore, uid: 1, add: true, flags: 4, since: 5}, output{modified: true})},
	} {
		if got := porcupine.CheckOperations(accountModel, []porcupine.Operation{a, seen, flag, c.last}); got != c.right {
			t.Errorf("%s: the model says %v", name, got)
		}
	}
}
