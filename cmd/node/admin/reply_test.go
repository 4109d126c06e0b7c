package admin

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"rookery"
	"rookery/cmd/node/adminapi"
)

func TestEveryKindHasItsReply(t *testing.T) {
	for _, k := range rookery.Kinds() {
		if httpStatus[k] == 0 {
			t.Errorf("no HTTP status for %v", k)
		}
	}
}

// TestWrongBodiesAreSaidInWords: a caller of the socket is told of the field,
// not of types of the program.
func TestWrongBodiesAreSaidInWords(t *testing.T) {
	for body, want := range map[string]string{`{"versions": "all"}`: "versions cannot be of type string", `[1]`: "the body cannot be of type array"} {
		var in adminapi.KeysBody
		w := httptest.NewRecorder()
		replyError(w, rookery.E("read order", rookery.KindInvalid, json.Unmarshal([]byte(body), &in)))
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) || strings.Contains(w.Body.String(), "Go ") {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}
