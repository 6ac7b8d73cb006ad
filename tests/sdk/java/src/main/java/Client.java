import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.message.MessageWriter;
import io.cloudevents.http.HttpMessageFactory;
import io.cloudevents.jackson.JsonFormat;
import java.io.IOException;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.OffsetDateTime;
import java.util.UUID;

/** Events of the CloudEvents SDK for Java, in both modes: counted once, however often they are sent. */
public final class Client {
    public static void main(String[] arguments) throws IOException {
        for (boolean structured : new boolean[] {true, false}) {
            String name = structured ? "structured" : "binary";
            CloudEvent event = CloudEventBuilder.v1()
                    .withId(UUID.randomUUID().toString())
                    .withSource(URI.create("java/" + name))
                    .withType("api-calls")
                    .withSubject("java")
                    .withTime(OffsetDateTime.now())
                    .withData("application/json",
                            "{\"method\":\"GET\",\"path\":\"/\",\"duration_ms\":2}".getBytes(StandardCharsets.UTF_8))
                    .build();
            for (String verdict : new String[] {"accepted", "duplicate"}) {
                String answer = send(arguments[0], event, structured);
                if (!answer.contains("\"" + verdict + "\"")) {
                    throw new IOException("java, " + name + ": " + answer);
                }
                System.out.println("java, " + name + ": " + verdict);
            }
        }
    }

    private static String send(String address, CloudEvent event, boolean structured) throws IOException {
        HttpURLConnection connection =
                (HttpURLConnection) URI.create(address + "/v1/events").toURL().openConnection();
        connection.setRequestMethod("POST");
        connection.setDoOutput(true);
        MessageWriter<?, ?> writer = HttpMessageFactory.createWriter(connection::setRequestProperty, body -> {
            try (OutputStream stream = connection.getOutputStream()) {
                stream.write(body == null ? new byte[0] : body);
            } catch (IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        });
        if (structured) {
            writer.writeStructured(event, new JsonFormat());
        } else {
            writer.writeBinary(event);
        }
        if (connection.getResponseCode() != 200) {
            throw new IOException("status " + connection.getResponseCode());
        }
        return new String(connection.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }

    private Client() {}
}
