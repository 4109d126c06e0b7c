package admin

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"rookery"
	"rookery/cmd/node/adminapi"
)

func reply(w http.ResponseWriter, v any) {
	noteOutcome(w, nil)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// httpStatus is this edge's table from kind to reply.
var httpStatus = map[rookery.Kind]int{
	rookery.KindUnknown:     http.StatusServiceUnavailable,
	rookery.KindInvalid:     http.StatusBadRequest,
	rookery.KindNotFound:    http.StatusNotFound,
	rookery.KindExists:      http.StatusConflict,
	rookery.KindDenied:      http.StatusForbidden,
	rookery.KindCredentials: http.StatusForbidden,
	rookery.KindDisabled:    http.StatusForbidden,
	rookery.KindOverQuota:   http.StatusInsufficientStorage,
	rookery.KindTooLarge:    http.StatusRequestEntityTooLarge,
	rookery.KindLimit:       http.StatusTooManyRequests,
	rookery.KindConflict:    http.StatusConflict,
	rookery.KindUnavailable: http.StatusServiceUnavailable,
	rookery.KindDamaged:     http.StatusInternalServerError,
	rookery.KindMoved:       http.StatusServiceUnavailable,
}

// inWords words what the decoder of a body says of a field that does not fit, for
// who wrote it: no types of the program.
func inWords(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	return rookery.E("read order", rookery.KindInvalid, fmt.Errorf("%s cannot be of type %s", cmp.Or(wrong.Field, "the body"), wrong.Value))
}

func replyError(w http.ResponseWriter, err error) {
	err = inWords(err)
	noteOutcome(w, err)
	kind := rookery.KindOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(httpStatus[kind])
	json.NewEncoder(w).Encode(adminapi.ErrorBody{Error: err.Error(), Kind: kind})
}
