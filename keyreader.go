package counterfoil

import (
	"sync"
	"time"
)

// keyReader says when the key file was read last because of something that no known key opens.
type keyReader struct {
	mu   sync.Mutex
	read bool
	at   time.Duration // monotonic
}

// rereadEvery is how often at most: tokens that nobody issued look the same.
const rereadEvery = time.Second

// learnKeys reads the key file again where something was made under a key that this node does not
// have: after a rotation another node may have read the new file first.
func (m *Manager) learnKeys() {
	k := &m.keyReader
	k.mu.Lock()
	defer k.mu.Unlock()
	now := m.clock.now().mono
	if k.read && now-k.at < rereadEvery {
		return
	}
	k.read, k.at = true, now
	before := m.keys.Fingerprint()
	if err := m.keys.Reload(); err != nil {
		m.log.Warn("the key file was not read again", "error", err)
	} else if after := m.keys.Fingerprint(); after != before {
		m.log.Info("the key file was read again, for a key that another node uses", "fingerprint", after)
	}
}
