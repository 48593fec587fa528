package images

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
)

// Push uploads the images of a cache folder's layouts to a registry without
// TLS ("host:port"), each one under its name and the tag 1, as the OCI
// distribution specification 1.1 says.
func Push(ctx context.Context, registry string, layouts map[string]string) error {
	for name, dir := range layouts {
		if err := push(ctx, "http://"+registry+"/v2/"+name, layout(dir)); err != nil {
			return fmt.Errorf("pushing %s/%s: %w", registry, name, err)
		}
	}
	return nil
}

// push uploads the one image of a layout to a repository's URL.
func push(ctx context.Context, repository string, l layout) error {
	index, err := readJSON[manifest](filepath.Join(string(l), indexFile))
	if err != nil {
		return err
	}
	image := index.Manifests[0]
	content, err := readJSON[manifest](l.blob(image.Digest))
	if err != nil {
		return err
	}
	for _, blob := range append(content.Layers, *content.Config) {
		if err := pushBlob(ctx, repository, l, blob); err != nil {
			return err
		}
	}
	return upload(ctx, repository+"/manifests/1", image.MediaType, l.blob(image.Digest))
}

// pushBlob uploads a blob in one piece.
func pushBlob(ctx context.Context, repository string, l layout, blob descriptor) error {
	start, err := http.NewRequestWithContext(ctx, http.MethodPost, repository+"/blobs/uploads/", http.NoBody)
	if err != nil {
		return err
	}
	header, err := send(start)
	if err != nil {
		return err
	}
	location, err := url.Parse(header.Get("Location"))
	if err != nil {
		return fmt.Errorf("reading the upload's location: %w", err)
	}
	base, err := url.Parse(repository)
	if err != nil {
		return err
	}
	location = base.ResolveReference(location)
	query := location.Query()
	query.Set("digest", blob.Digest)
	location.RawQuery = query.Encode()
	return upload(ctx, location.String(), "application/octet-stream", l.blob(blob.Digest))
}

// upload puts a file to a URL.
func upload(ctx context.Context, target, contentType, name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, target, file)
	if err != nil {
		return err
	}
	request.ContentLength = info.Size()
	request.Header.Set("Content-Type", contentType)
	_, err = send(request)
	return err
}

// send makes a request and returns the header of a successful answer.
func send(request *http.Request) (http.Header, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s: %s: %s", request.Method, request.URL.Path, response.Status, answer)
	}
	return response.Header, nil
}
