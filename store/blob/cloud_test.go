package blob_test

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/counterfoil/counterfoil/store/blob"
)

// P26, P29
func TestS3(t *testing.T) {
	s := serverOf(t, "s3")
	t.Setenv("AWS_ACCESS_KEY_ID", testKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	conforms(t, func(*testing.T) string {
		return "s3://bucket/" + strings.ToLower(rand.Text()) + "?endpoint=" + s.url
	})
}

// P26, P29
func TestGCS(t *testing.T) {
	s := serverOf(t, "gs")
	conforms(t, func(*testing.T) string { return "gs://bucket/" + strings.ToLower(rand.Text()) + "?endpoint=" + s.url })
}

// P26, P29
func TestAzure(t *testing.T) {
	s := serverOf(t, "azblob")
	t.Setenv("AZURE_STORAGE_KEY", azureKey)
	t.Setenv("AZURE_STORAGE_ACCOUNT", azureAccount)
	if err := blob.CreateContainer(t.Context(), "azblob://bucket/?endpoint="+s.url+"/"+azureAccount); err != nil {
		t.Fatal(err)
	}
	conforms(t, func(*testing.T) string {
		return "azblob://bucket/" + strings.ToLower(rand.Text()) + "?endpoint=" + s.url + "/" + azureAccount
	})
}
