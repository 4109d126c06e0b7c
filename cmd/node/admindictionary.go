package node

import (
	"context"
	"encoding/json"
)

// Dictionaries lists the dictionaries and counts what uses them.
func (c *AdminClient) Dictionaries(ctx context.Context) (s DictionariesStatus, err error) {
	err = c.callStream(ctx, "/v1/storage/dictionaries", struct{}{}, func(b json.RawMessage) error { return json.Unmarshal(b, &s) })
	return s, err
}

// TrainDictionary has the node sample mail and train a dictionary now.
func (c *AdminClient) TrainDictionary(ctx context.Context) (t Training, err error) {
	err = c.callStream(ctx, "/v1/storage/train", struct{}{}, func(b json.RawMessage) error { return json.Unmarshal(b, &t) })
	return t, err
}
