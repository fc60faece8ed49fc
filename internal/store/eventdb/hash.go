package eventdb

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"unsafe"

	"github.com/minio/highwayhash"

	"github.com/mindscope/mindscope/internal/signal"
	"github.com/mindscope/mindscope/internal/store"
)

// payloadKeys gives each project the key of its payloads' hashes. Keys come from one secret of the folder: nobody who
// reads hashes can try what content they are of, within the folder or in another. A folder that lost the file gets a new
// secret: what it holds stays readable, and is stored once more when it comes again.
type payloadKeys struct {
	secret []byte

	mu   sync.RWMutex
	keys map[signal.Project][]byte
}

func openPayloadKeys(path string) (*payloadKeys, error) {
	k := &payloadKeys{keys: map[signal.Project][]byte{}}
	text, err := readSealed(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.secret = make([]byte, highwayhash.Size)
		_, _ = rand.Read(k.secret) // never fails
		return k, writeSealed(path, []byte(hex.EncodeToString(k.secret)))
	case err != nil:
		return nil, err
	}
	if len(text) != 2*highwayhash.Size {
		return nil, fmt.Errorf("read %s: %w: a key has %d hex digits", path, store.ErrCorrupt, 2*highwayhash.Size)
	}
	if k.secret, err = hex.DecodeString(string(text)); err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", path, store.ErrCorrupt, err)
	}
	return k, nil
}

// of returns the key of a project.
func (k *payloadKeys) of(p signal.Project) []byte {
	k.mu.RLock()
	key := k.keys[p]
	k.mu.RUnlock()
	if key != nil {
		return key
	}
	mac := hmac.New(sha256.New, k.secret)
	mac.Write([]byte(p))
	key = mac.Sum(nil)
	k.mu.Lock()
	k.keys[p] = key
	k.mu.Unlock()
	return key
}

// hashOf returns the name of a payload in a project of that key.
func hashOf(key []byte, content string) [16]byte {
	// The hash only reads what the string holds.
	return highwayhash.Sum128(unsafe.Slice(unsafe.StringData(content), len(content)), key)
}

// PayloadHash implements store.PayloadNamer.
func (db *DB) PayloadHash(p signal.Project, content string) string {
	h := hashOf(db.keys.of(p), content)
	return hex.EncodeToString(h[:])
}
