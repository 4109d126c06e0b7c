package admin

import (
	"testing"

	"rookery"
)

func TestEveryKindHasItsReply(t *testing.T) {
	for _, k := range rookery.Kinds() {
		if httpStatus[k] == 0 {
			t.Errorf("no HTTP status for %v", k)
		}
	}
}
