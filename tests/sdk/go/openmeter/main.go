// The quick-start of OpenMeter's Go client, on the wire: requests as it makes them, and answers read into types as strict as
// its own. The client itself is no module of its own that could be fetched without the whole of OpenMeter.
//
// Usage: go run ./openmeter ADDRESS
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"
)

type meter struct {
	ID            string             `json:"id"`
	Slug          string             `json:"slug"`
	Aggregation   string             `json:"aggregation"`
	EventType     string             `json:"eventType"`
	ValueProperty *string            `json:"valueProperty"`
	GroupBy       *map[string]string `json:"groupBy"`
	CreatedAt     time.Time          `json:"createdAt"`
	UpdatedAt     time.Time          `json:"updatedAt"`
}

type row struct {
	Value       float64            `json:"value"`
	WindowStart time.Time          `json:"windowStart"`
	WindowEnd   time.Time          `json:"windowEnd"`
	Subject     *string            `json:"subject"`
	GroupBy     map[string]*string `json:"groupBy"`
}

type result struct {
	From       *time.Time `json:"from"`
	To         *time.Time `json:"to"`
	WindowSize *string    `json:"windowSize"`
	Data       []row      `json:"data"`
}

type ingested struct {
	Event           cloudevents.Event `json:"event"`
	IngestedAt      time.Time         `json:"ingestedAt"`
	StoredAt        time.Time         `json:"storedAt"`
	ValidationError *string           `json:"validationError"`
}

type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func event(subject string) cloudevents.Event {
	event := cloudevents.New()
	event.SetID(uuid.NewString())
	event.SetSource("my-app")
	event.SetType("api-calls")
	event.SetSubject(subject)
	event.SetTime(time.Now())
	data := map[string]string{"method": "GET", "path": "/hello", "duration_ms": "1.5"}
	if err := event.SetData("application/json", data); err != nil {
		log.Fatal(err)
	}
	return event
}

// exchange sends a request, and reads its answer into what belongs to the status that is expected.
func exchange(method, path, kind string, body any, status int, into any) {
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			log.Fatal(err)
		}
		sent = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, os.Args[1]+path, sent)
	if err != nil {
		log.Fatal(err)
	}
	if kind != "" {
		request.Header.Add("Content-Type", kind)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		log.Fatalf("openmeter, go: %s %s: %s %v\n%s", method, path, response.Status, err, text)
	}
	if into == nil {
		return
	}
	if !strings.Contains(response.Header.Get("Content-Type"), "json") {
		log.Fatalf("openmeter, go: %s %s: %s", method, path, response.Header.Get("Content-Type"))
	}
	if err := json.Unmarshal(text, into); err != nil {
		log.Fatalf("openmeter, go: %s %s: %v\n%s", method, path, err, text)
	}
}

func main() {
	subject := "go-" + uuid.NewString()
	first, second, third := event(subject), event(subject), event(subject)
	exchange("POST", "/api/v1/events", "application/cloudevents+json", first, 204, nil)
	batch := []cloudevents.Event{first, second, third}
	exchange("POST", "/api/v1/events", "application/cloudevents-batch+json", batch, 204, nil)

	var meters []meter
	exchange("GET", "/api/v1/meters", "", nil, 200, &meters)
	var calls meter
	exchange("GET", "/api/v1/meters/api_calls_total", "", nil, 200, &calls)
	if calls.Slug != "api_calls_total" || calls.Aggregation != "COUNT" || calls.CreatedAt.IsZero() {
		log.Fatalf("openmeter, go: %+v", calls)
	}

	asked := url.Values{
		"subject":    {subject},
		"windowSize": {"DAY"},
		"groupBy":    {"method"},
	}
	var used result
	exchange("GET", "/api/v1/meters/api_calls_total/query?"+asked.Encode(), "", nil, 200, &used)
	if len(used.Data) != 1 || used.Data[0].Value != 3 || *used.Data[0].Subject != subject ||
		*used.Data[0].GroupBy["method"] != "GET" || *used.WindowSize != "DAY" {
		log.Fatalf("openmeter, go: %+v", used)
	}
	fmt.Println("openmeter, go: value == 3 of", len(meters), "meters")

	var listed []ingested
	exchange("GET", "/api/v1/events?subject="+subject, "", nil, 200, &listed)
	if len(listed) != 3 || listed[0].Event.ID() != third.ID() || listed[0].StoredAt.IsZero() {
		log.Fatalf("openmeter, go: %+v", listed)
	}

	var refused problem
	exchange("GET", "/api/v1/meters/nothing", "", nil, 404, &refused)
	if refused.Status != 404 || refused.Title == "" || refused.Detail == "" {
		log.Fatalf("openmeter, go: %+v", refused)
	}
	exchange("POST", "/api/v1/events", "application/cloudevents+json", map[string]string{"id": "1"}, 400, &refused)
	fmt.Println("openmeter, go: a problem is read:", refused.Detail)
}
