package keyring_test

import (
	"fmt"
	"time"

	"github.com/counterfoil/counterfoil/keyring"
)

func ExampleRing_Rotate() {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	keys, err := keyring.Generate(now, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	id, sealed, err := keys.Seal(keyring.Identity, now, []byte("record 7"), []byte("alice"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := keys.Rotate(now); err != nil {
		fmt.Println(err)
		return
	}
	plain, err := keys.Open(id, keyring.Identity, []byte("record 7"), sealed)
	fmt.Printf("%s %v, %d usable keys\n", plain, err, len(keys.Usable()))
	// Output: alice <nil>, 2 usable keys
}
