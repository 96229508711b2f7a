import java.io.IOException;
import java.io.PrintStream;
import java.net.*;
import java.net.http.*;
import java.nio.file.*;
import java.security.*;
import java.security.cert.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.Consumer;
import java.util.stream.Stream;
import javax.net.ssl.*;

import static java.nio.charset.StandardCharsets.UTF_8;

/**
 * Signs one person in through Relais, as the software of a practice does. Java 11 or later, no library.
 *
 * <pre>RELAIS_URL=http://127.0.0.1:8080 RELAIS_APPLICATION=demo RELAIS_SECRET=demo java SignIn.java 899700000001</pre>
 *
 * The class Relais is what you would copy: start, wait, pickUp, readSession, endSession, cancel. The rest is a
 * console program around it, and a small JSON reader: use your own library instead, if you have one. The steps, the
 * settings and the exit codes are in ../README.md.
 */
public class SignIn {
    static final int SESSION = 0, FAILED = 1, USAGE = 2, CANCELLED = 13, ALREADY_PENDING = 15;

    /** Exit codes by the words of Relais: a login's status or reason, a problem's code. A word added later fails. */
    static final Map<String, Integer> EXIT_CODES = Map.ofEntries(
        Map.entry("login_hint_malformed", USAGE),
        Map.entry("denied", 10),
        Map.entry("expired", 11),
        Map.entry("user_unknown", 12),
        Map.entry("cancelled", CANCELLED),
        Map.entry("identity_mismatch", 14),
        Map.entry("already_pending", ALREADY_PENDING),
        Map.entry("rate_limited", ALREADY_PENDING),
        Map.entry("provider_unavailable", 16),
        Map.entry("outcome_unknown", 16),
        Map.entry("provider_rejected_client", 17),
        Map.entry("application_unauthenticated", 17),
        Map.entry("application_disabled", 17));

    /** What your software does next. What the person reads is the user_message of Relais. */
    static final Map<Integer, String> ENDINGS = Map.of(
        FAILED, "Failed: let the person try again, and have the support code ready for your help desk.",
        USAGE, "Refused: let the person correct the identifier. No phone has rung.",
        10, "Denied: never start again by yourself; whoever says no has a reason.",
        11, "Expired: offer to start again.",
        12, "Unknown person: let the identifier be corrected.",
        CANCELLED, "Cancelled: the phone is free for another login.",
        14, "Somebody else has confirmed: nobody is signed in.",
        ALREADY_PENDING, "Too early: another login is under way for this person, or there were too many.",
        16, "The provider is unavailable: nothing is wrong here, try again in a few minutes.",
        17, "The application is refused: check its name and secret, then ask whoever operates Relais.");

    /** A call without a result: no answer came (status 0), or a refusal with its problem (RFC 9457). */
    @SuppressWarnings("serial")
    static class CallError extends Exception {
        final int status;
        final Json problem;
        final long retryAfter;

        CallError(String why, int status, Json problem, long retryAfter) {
            super(why);
            this.status = status;
            this.problem = problem;
            this.retryAfter = retryAfter;
        }

        boolean is(String... codes) {
            return Arrays.asList(codes).contains(problem.text("code"));
        }
    }

    /** The calls. Each may be repeated without harm, so each is, where an answer is lost. */
    static class Relais {
        static final int WAIT = 25; // Seconds that one call waits at the server: some proxies cut after 30.
        static final int ANSWER_TIMEOUT = 20; // Seconds for an answer, beyond that: a start alone may take 10.
        static final int PATIENCE = 30; // Seconds during which a call without an answer is repeated.
        static final int MARGIN = 10; // Seconds that a silent server is still asked after the login's own end.

        final HttpClient http;
        final String url, basic, language;

        Relais(String url, String application, String secret, String caFile, String language)
                throws IOException, GeneralSecurityException {
            // No redirect is followed: a secret has one addressee.
            HttpClient.Builder builder = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .connectTimeout(Duration.ofSeconds(10))
                .followRedirects(HttpClient.Redirect.NEVER);
            this.http = (caFile == null ? builder : builder.sslContext(trusting(caFile))).build();
            this.url = url.replaceAll("/+$", "");
            // Name and secret are form-encoded before they are joined (RFC 6749, 2.3.1).
            String pair = URLEncoder.encode(application, UTF_8) + ":" + URLEncoder.encode(secret, UTF_8);
            this.basic = "Basic " + Base64.getEncoder().encodeToString(pair.getBytes(UTF_8));
            this.language = language;
        }

        /** Rings the person's phone. With the same key, it is the same login however often it is asked for. */
        Json start(String loginHint, String key) throws CallError, InterruptedException {
            return repeated(PATIENCE, 0, request("/v1/logins", basic)
                .header("Idempotency-Key", key)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString("{\"login_hint\":" + Json.quoted(loginHint) + "}")));
        }

        /** Follows a login until somebody has decided. */
        Json wait(Json login, String loginToken, Consumer<Json> onChange) throws CallError, InterruptedException {
            while (isOpen(login)) {
                // Answered at once if the version is no longer this one: no change falls between two calls.
                HttpRequest.Builder request = request(path(login), bearer(loginToken))
                    .header("Prefer", "wait=" + WAIT)
                    .header("If-None-Match", '"' + login.text("version") + '"');
                long askedAt = System.nanoTime();
                Json read = repeated(Long.parseLong(login.text("expires_in")) + MARGIN, WAIT, request);
                if (!read.text("version").equals(login.text("version"))) {
                    onChange.accept(read);
                } else if (System.nanoTime() - askedAt < 1_000_000_000L) {
                    Thread.sleep(1000); // A server that shuts down answers early: no tight loop.
                }
                login = read;
            }
            return login;
        }

        /** Turns an approved login into a session. A repetition brings another handle, of the same session. */
        Json pickUp(Json login, String loginToken) throws CallError, InterruptedException {
            return repeated(PATIENCE, 0,
                request(path(login) + "/session", bearer(loginToken)).POST(HttpRequest.BodyPublishers.noBody()));
        }

        /** Who it is and until when, or null once it has ended. Reading it is a use: it postpones the idle end. */
        Json readSession(String handle) throws CallError, InterruptedException {
            try {
                return repeated(PATIENCE, 0, request("/v1/session", bearer(handle)));
            } catch (CallError error) {
                // Every call with a handle may be told this, and it always means: sign in again.
                if (!error.is("session_ended", "handle_invalid")) throw error;
                say(error.problem.text("user_message") + " [" + error.getMessage() + "]");
                return null;
            }
        }

        /** Ends a session. One that has ended already is as good. */
        void endSession(String handle) throws CallError, InterruptedException {
            try {
                repeated(PATIENCE, 0, request("/v1/session", bearer(handle)).DELETE());
            } catch (CallError error) {
                if (!error.is("session_ended", "handle_invalid")) throw error;
            }
        }

        /** Gives a login up, or the session that it has led to meanwhile. */
        void cancel(Json login, String loginToken) throws CallError, InterruptedException {
            try {
                repeated(PATIENCE, 0, request(path(login), bearer(loginToken)).DELETE());
            } catch (CallError error) {
                if (!error.is("already_picked_up")) throw error;
                endSession(pickUp(login, loginToken).text("session_handle"));
            }
        }

        private HttpRequest.Builder request(String path, String authorization) {
            return HttpRequest.newBuilder(URI.create(url + path))
                .header("Accept-Language", language)
                .header("Authorization", authorization);
        }

        /** Makes a call, and the very same call again while no answer comes. */
        private Json repeated(long patience, int wait, HttpRequest.Builder request)
                throws CallError, InterruptedException {
            long giveUpAt = System.nanoTime() + TimeUnit.SECONDS.toNanos(patience);
            for (long pause = 250; ; pause = Math.min(2 * pause, 2000)) {
                try {
                    return call(request.build(), wait);
                } catch (CallError error) {
                    pause = Math.max(pause, 1000 * error.retryAfter);
                    // Any other refusal would be the same the next time.
                    boolean mayBeRepeated = List.of(0, 502, 503, 504).contains(error.status);
                    if (!mayBeRepeated || System.nanoTime() + pause * 1_000_000 > giveUpAt) throw error;
                    say("No answer yet, trying again [" + error.getMessage() + "]");
                }
                Thread.sleep(pause);
            }
        }

        /** Makes a call once. */
        private Json call(HttpRequest request, int wait) throws CallError, InterruptedException {
            HttpResponse<String> answer;
            CompletableFuture<HttpResponse<String>> sent = http.sendAsync(request, HttpResponse.BodyHandlers.ofString(UTF_8));
            try {
                // HttpRequest.timeout would end with the headers; this also covers the body.
                answer = sent.get(ANSWER_TIMEOUT + wait, TimeUnit.SECONDS);
            } catch (ExecutionException | TimeoutException error) {
                Throwable cause = error.getCause() == null ? error : error.getCause();
                throw new CallError(cause.toString(), 0, Json.EMPTY, 0);
            } finally {
                sent.cancel(true);
            }
            if (answer.statusCode() == 204) return Json.EMPTY;
            Json members = Json.objectIn(answer.body());
            // Members that you do not know may be added: leave them alone.
            if (answer.statusCode() / 100 == 2 && members != null) return members;
            Json problem = members == null ? Json.EMPTY : members;
            String why = answer.statusCode() + " "
                + (problem.has("code") ? problem.text("code") : "without a problem of Relais")
                + (problem.has("support_code") ? ", support code " + problem.text("support_code") : "");
            String retryAfter = answer.headers().firstValue("Retry-After").orElse("0");
            long seconds = retryAfter.matches("[0-9]{1,6}") ? Long.parseLong(retryAfter) : 0;
            throw new CallError(why, answer.statusCode(), problem, seconds);
        }

        static boolean isOpen(Json login) {
            return List.of("starting", "pending").contains(login.text("status"));
        }

        private static String path(Json login) {
            return "/v1/logins/" + login.text("login_id");
        }

        private static String bearer(String secret) {
            return "Bearer " + secret;
        }

        /** TLS that trusts the roots of one PEM file, and no others. */
        private static SSLContext trusting(String caFile) throws IOException, GeneralSecurityException {
            KeyStore roots = KeyStore.getInstance(KeyStore.getDefaultType());
            roots.load(null, null);
            try (var pem = Files.newInputStream(Path.of(caFile))) {
                for (java.security.cert.Certificate root : CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
                    roots.setCertificateEntry("root-" + roots.size(), root);
                }
            }
            TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            trust.init(roots);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, trust.getTrustManagers(), null);
            return context;
        }
    }

    /** From the start to the session's end. Gives the exit code. */
    static int signIn(Relais relais, String loginHint, boolean endAtOnce) throws CallError, InterruptedException {
        String key = UUID.randomUUID().toString(); // One key for one attempt to sign in: one login, one ring.
        Json started = null, session = null;
        String handle = null;
        try {
            started = relais.start(loginHint, key);
            show(started);
            String loginToken = started.text("login_token");
            Json login = relais.wait(started, loginToken, SignIn::show);
            if (!login.text("status").equals("approved")) {
                return ended(exitCode(login.text("reason"), login.text("status")), login.text("support_code"));
            }
            handle = relais.pickUp(login, loginToken).text("session_handle");
            session = relais.readSession(handle);
            if (session == null) return ended(FAILED, "");
            showPerson(session);
            new PrintStream(System.out, true, UTF_8).println(session.source.replaceAll("[\\r\\n]", " "));
            workday(endAtOnce);
        } catch (InterruptedException interruption) {
            if (handle == null) {
                // The start may have arrived even if its answer has not: the same key brings the same login.
                if (started == null) started = relais.start(loginHint, key);
                relais.cancel(started, started.text("login_token"));
                return ended(CANCELLED, "");
            }
        }
        relais.endSession(handle);
        if (endAtOnce && relais.readSession(handle) == null) {
            say("The handle is worth nothing any more: for another session, sign in again.");
        }
        return session == null ? ended(CANCELLED, "") : SESSION;
    }

    /** Shows the two digits, large, while there is something to compare, and the sentence of Relais. */
    static void show(Json login) {
        if (Relais.isOpen(login)) {
            String digits = String.join("   ", login.text("binding_message").split(""));
            String rule = "+" + "-".repeat(digits.length() + 6) + "+";
            say("\n    " + rule + "\n    |   " + digits + "   |\n    " + rule + "\n");
        }
        say(login.text("user_message"));
    }

    /** Shows who has signed in and where they practise. The key of a person in your database is (iss, sub). */
    static void showPerson(Json session) {
        Json subject = session.object("subject");
        String name = subject.has("name") ? subject.text("name") : subject.text("sub");
        say("Signed in: " + name + ", until " + session.text("expires_at") + " at the latest");
        for (Json exercice : subject.objects("exercices")) {
            Json profession = exercice.object("profession"), site = exercice.object("site");
            say("  " + profession.text(profession.has("label") ? "label" : "code") + ", "
                + (site.has("name") ? site.text("name") : "no place named"));
        }
    }

    /** Here your software works, until somebody closes it. */
    static void workday(boolean endAtOnce) throws InterruptedException {
        if (endAtOnce) return;
        say("Press Enter to end the session.");
        // Reading cannot be interrupted, waiting can.
        Thread reader = new Thread(() -> new Scanner(System.in).hasNextLine());
        reader.setDaemon(true);
        reader.start();
        reader.join();
    }

    /** The exit code of the first word that has one. */
    static int exitCode(String... words) {
        return Stream.of(words).filter(EXIT_CODES::containsKey).map(EXIT_CODES::get).findFirst().orElse(FAILED);
    }

    static int ended(int code, String supportCode) {
        say(ENDINGS.get(code) + (supportCode.isEmpty() ? "" : " [support code " + supportCode + "]"));
        return code;
    }

    /** Tells why a call brought nothing. Gives the exit code. */
    static int refused(CallError error) {
        Json problem = error.problem;
        String message = problem.has("user_message") ? problem.text("user_message") : "Relais cannot be reached.";
        say(message + " [" + error.getMessage() + "]");
        int code = exitCode(problem.text("reason"), problem.text("login_status"), problem.text("code"));
        if (code == ALREADY_PENDING) {
            say("Try again in "
                + (problem.has("expires_in") ? problem.text("expires_in") : error.retryAfter) + " s.");
        }
        return ended(code, "");
    }

    static void say(String text) {
        System.err.println(text);
    }

    public static void main(String[] arguments) throws Exception {
        // Ctrl-C and SIGTERM run this thread: the main thread is interrupted, cancels, and gives the exit code.
        Thread main = Thread.currentThread();
        CompletableFuture<Integer> code = new CompletableFuture<>();
        Thread hook = new Thread(() -> {
            main.interrupt();
            Runtime.getRuntime().halt(code.join());
        });
        Runtime.getRuntime().addShutdownHook(hook);
        try {
            code.complete(run(Arrays.asList(arguments), System.getenv()));
        } finally {
            code.complete(FAILED);
        }
        System.exit(code.join());
    }

    static int run(List<String> arguments, Map<String, String> environment) throws InterruptedException {
        String url = environment.getOrDefault("RELAIS_URL", "");
        String application = environment.getOrDefault("RELAIS_APPLICATION", "");
        String secret = environment.getOrDefault("RELAIS_SECRET", "");
        List<String> hints = new ArrayList<>(arguments);
        hints.removeIf("--end"::equals);
        if (hints.size() != 1 || hints.get(0).startsWith("-")
                || url.isEmpty() || application.isEmpty() || secret.isEmpty()) {
            say("usage: RELAIS_URL=... RELAIS_APPLICATION=... RELAIS_SECRET=... [RELAIS_CA=...]"
                + " java SignIn.java [--end] LOGIN_HINT");
            return USAGE;
        }
        if (!url.matches("https://.+|http://(127\\.0\\.0\\.1|localhost)([:/].*)?")) {
            say("RELAIS_URL: https://..., or http://... on this machine: it carries a secret");
            return USAGE;
        }
        String language = environment.getOrDefault("LANG", "").replaceAll("\\..*", "").replace('_', '-');
        if (List.of("", "C", "POSIX").contains(language)) language = "fr";
        String caFile = environment.getOrDefault("RELAIS_CA", "");
        try {
            Relais relais = new Relais(url, application, secret, caFile.isEmpty() ? null : caFile, language);
            return signIn(relais, hints.get(0), arguments.contains("--end"));
        } catch (CallError error) {
            return refused(error);
        } catch (IOException | GeneralSecurityException error) {
            say("RELAIS_CA: " + error);
            return USAGE;
        }
    }

    /** A JSON object (RFC 8259). A member that is missing or null reads as an empty text, object or list. */
    static class Json {
        static final Json EMPTY = new Json(Map.of(), "{}");
        final Map<?, ?> members;
        final String source;

        Json(Map<?, ?> members, String source) {
            this.members = members;
            this.source = source;
        }

        /** The object that a text is, or null where it is anything else. */
        static Json objectIn(String text) {
            try {
                JsonReader reader = new JsonReader(text);
                Object value = reader.value(0);
                return value instanceof Map && reader.next() == 0 ? new Json((Map<?, ?>) value, text) : null;
            } catch (IllegalArgumentException noJson) {
                return null;
            }
        }

        boolean has(String name) {
            return members.get(name) != null;
        }

        String text(String name) {
            return has(name) ? members.get(name).toString() : "";
        }

        Json object(String name) {
            return members.get(name) instanceof Map ? new Json((Map<?, ?>) members.get(name), "") : EMPTY;
        }

        List<Json> objects(String name) {
            List<Json> objects = new ArrayList<>();
            if (members.get(name) instanceof List) {
                for (Object value : (List<?>) members.get(name)) {
                    if (value instanceof Map) objects.add(new Json((Map<?, ?>) value, ""));
                }
            }
            return objects;
        }

        static String quoted(String text) {
            StringBuilder quoted = new StringBuilder();
            for (char c : text.toCharArray()) {
                quoted.append(c < ' ' || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : "" + c);
            }
            return '"' + quoted.toString() + '"';
        }
    }

    /** Reads JSON strictly: objects as maps, arrays as lists, all else but null as the text that it is. */
    static class JsonReader {
        private final String text;
        private int at;

        JsonReader(String text) {
            this.text = text;
        }

        Object value(int depth) {
            char first = next();
            if (first == '"') return string();
            if (first != '{' && first != '[') return word();
            check(depth < 64);
            at++;
            Map<String, Object> object = new LinkedHashMap<>();
            List<Object> list = new ArrayList<>();
            char last = first == '{' ? '}' : ']';
            for (boolean more = next() != last; more; more = next() == ',' && at++ >= 0) {
                if (first == '[') {
                    list.add(value(depth + 1));
                    continue;
                }
                check(next() == '"');
                String name = string();
                check(next() == ':');
                at++;
                object.put(name, value(depth + 1));
            }
            check(next() == last);
            at++;
            return first == '{' ? object : list;
        }

        private String word() {
            int from = at;
            while (at < text.length() && ",]} \t\r\n".indexOf(text.charAt(at)) < 0) at++;
            String word = text.substring(from, at);
            check(word.matches("true|false|null|-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?"));
            return word.equals("null") ? null : word;
        }

        private String string() {
            StringBuilder read = new StringBuilder();
            while (true) {
                check(++at < text.length() && text.charAt(at) >= ' ');
                char c = text.charAt(at);
                if (c == '"') {
                    at++;
                    return read.toString();
                }
                read.append(c == '\\' ? escaped() : c);
            }
        }

        private char escaped() {
            check(++at < text.length());
            if (text.charAt(at) == 'u') {
                at += 4;
                check(at < text.length() && text.substring(at - 3, at + 1).matches("[0-9a-fA-F]{4}"));
                return (char) Integer.parseInt(text.substring(at - 3, at + 1), 16);
            }
            int which = "\"\\/bfnrt".indexOf(text.charAt(at));
            check(which >= 0);
            return "\"\\/\b\f\n\r\t".charAt(which);
        }

        /** The next character that is no white space, without taking it; 0 at the end. */
        char next() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
            return at < text.length() ? text.charAt(at) : 0;
        }

        private void check(boolean expected) {
            if (!expected) throw new IllegalArgumentException("no JSON at " + at);
        }
    }
}
