// Signs one person in through Relais, as the software of a practice does. .NET 8, no package.
//
//     RELAIS_URL=http://127.0.0.1:8080 RELAIS_APPLICATION=demo RELAIS_SECRET=demo dotnet run -- 899700000001
//
// The class Relais is what you would copy: StartAsync, WaitAsync, PickUpAsync, ReadSessionAsync, EndSessionAsync,
// CancelAsync. The rest is a console program around it. The steps, the settings and the exit codes are in ../README.md.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Net;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Net.Security;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

/// <summary>A call without a result: no answer came (status 0), or a refusal with its problem (RFC 9457).</summary>
class CallError : Exception
{
    public readonly int Status;
    public readonly JsonElement Problem;
    public readonly TimeSpan RetryAfter;

    public CallError(string why, int status, JsonElement problem, TimeSpan retryAfter) : base(why)
    {
        Status = status;
        Problem = problem;
        RetryAfter = retryAfter;
    }

    public bool Is(params string[] codes) => codes.Contains(Problem.Text("code"));
}

/// <summary>The calls. Each may be repeated without harm, so each is, where an answer is lost.</summary>
class Relais
{
    static readonly TimeSpan WaitTime = TimeSpan.FromSeconds(25); // One call waits at the server: some proxies cut after 30.
    static readonly TimeSpan AnswerTimeout = TimeSpan.FromSeconds(20); // Beyond that: a start alone may take 10.
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(30); // During which a call without an answer is repeated.
    static readonly TimeSpan Margin = TimeSpan.FromSeconds(10); // A silent server is still asked after the login's end.
    static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    readonly HttpClient http;
    readonly string url, language;
    readonly AuthenticationHeaderValue basic;

    /// <summary>When it is cancelled, whatever is under way throws OperationCanceledException.</summary>
    public CancellationToken Interruption;

    public Relais(string url, string application, string secret, string caFile, string language)
    {
        // No redirect is followed: a secret has one addressee.
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false };
        handler.ConnectTimeout = TimeSpan.FromSeconds(10);
        if (caFile != null) handler.SslOptions.CertificateChainPolicy = Trusting(caFile);
        http = new HttpClient(handler) { Timeout = Timeout.InfiniteTimeSpan }; // Each call has its own.
        this.url = url.TrimEnd('/');
        this.language = language;
        // Name and secret are form-encoded before they are joined (RFC 6749 §2.3.1).
        var pair = WebUtility.UrlEncode(application) + ":" + WebUtility.UrlEncode(secret);
        basic = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes(pair)));
    }

    /// <summary>Rings the person's phone. With the same key, it is the same login however often it is asked for.</summary>
    public Task<JsonElement> StartAsync(string loginHint, Guid key)
    {
        var body = JsonSerializer.Serialize(new Dictionary<string, string> { ["login_hint"] = loginHint });
        return RepeatedAsync(Patience, TimeSpan.Zero, () =>
        {
            var request = Request(HttpMethod.Post, "/v1/logins", basic);
            request.Headers.Add("Idempotency-Key", key.ToString());
            request.Content = new StringContent(body, Encoding.UTF8, "application/json");
            return request;
        });
    }

    /// <summary>Follows a login until somebody has decided.</summary>
    public async Task<JsonElement> WaitAsync(JsonElement login, string loginToken, Action<JsonElement> onChange)
    {
        while (IsOpen(login))
        {
            var known = login.GetProperty("version").GetInt64();
            var path = LoginPath(login);
            var askedAt = Stopwatch.StartNew();
            login = await RepeatedAsync(TimeSpan.FromSeconds(login.Seconds("expires_in")) + Margin, WaitTime, () =>
            {
                // Answered at once if the version is no longer this one: no change falls between two calls.
                var request = Request(HttpMethod.Get, path, Bearer(loginToken));
                request.Headers.Add("Prefer", $"wait={WaitTime.TotalSeconds}");
                request.Headers.IfNoneMatch.Add(new EntityTagHeaderValue($"\"{known}\""));
                return request;
            });
            if (login.GetProperty("version").GetInt64() != known) onChange(login);
            // A server that shuts down answers early: ask the next one, but not in a tight loop.
            else if (askedAt.Elapsed < Second) await Task.Delay(Second, Interruption);
        }
        return login;
    }

    /// <summary>Turns an approved login into a session. A repetition brings another handle, of the same session.</summary>
    public Task<JsonElement> PickUpAsync(JsonElement login, string loginToken)
    {
        return RepeatedAsync(Patience, TimeSpan.Zero,
            () => Request(HttpMethod.Post, LoginPath(login) + "/session", Bearer(loginToken)));
    }

    /// <summary>Who it is and until when, or null once it has ended. It is a use: it postpones the idle end.</summary>
    public async Task<JsonElement?> ReadSessionAsync(string handle)
    {
        try
        {
            return await RepeatedAsync(Patience, TimeSpan.Zero,
                () => Request(HttpMethod.Get, "/v1/session", Bearer(handle)));
        }
        catch (CallError error) when (error.Is("session_ended", "handle_invalid"))
        {
            // Every call with a handle may be told this, and it always means: sign in again.
            SignIn.Say($"{error.Problem.Text("user_message")} [{error.Message}]");
            return null;
        }
    }

    /// <summary>Ends a session. One that has ended already is as good.</summary>
    public async Task EndSessionAsync(string handle)
    {
        try
        {
            await RepeatedAsync(Patience, TimeSpan.Zero,
                () => Request(HttpMethod.Delete, "/v1/session", Bearer(handle)));
        }
        catch (CallError error) when (error.Is("session_ended", "handle_invalid"))
        {
        }
    }

    /// <summary>Gives a login up, or the session that it has led to meanwhile.</summary>
    public async Task CancelAsync(JsonElement login, string loginToken)
    {
        try
        {
            await RepeatedAsync(Patience, TimeSpan.Zero,
                () => Request(HttpMethod.Delete, LoginPath(login), Bearer(loginToken)));
        }
        catch (CallError error) when (error.Is("already_picked_up"))
        {
            var session = await PickUpAsync(login, loginToken);
            await EndSessionAsync(session.Text("session_handle"));
        }
    }

    /// <summary>Makes a call, and the very same call again while no answer comes.</summary>
    async Task<JsonElement> RepeatedAsync(TimeSpan patience, TimeSpan wait, Func<HttpRequestMessage> request)
    {
        var begun = Stopwatch.StartNew();
        for (var pause = TimeSpan.FromMilliseconds(250); ; pause = pause + pause < 2 * Second ? pause + pause : 2 * Second)
        {
            try
            {
                return await CallAsync(request(), wait);
            }
            catch (CallError error) when (error.Status == 0 || error.Status >= 502 && error.Status <= 504)
            {
                // Any other refusal would be the same the next time.
                if (error.RetryAfter > pause) pause = error.RetryAfter;
                if (begun.Elapsed + pause > patience) throw;
                SignIn.Say($"No answer yet, trying again [{error.Message}]");
            }
            await Task.Delay(pause, Interruption);
        }
    }

    /// <summary>Makes a call once.</summary>
    async Task<JsonElement> CallAsync(HttpRequestMessage request, TimeSpan wait)
    {
        using (request)
        using (var timeout = CancellationTokenSource.CreateLinkedTokenSource(Interruption))
        {
            timeout.CancelAfter(AnswerTimeout + wait);
            try
            {
                using (var answer = await http.SendAsync(request, timeout.Token)) // The whole answer, body included.
                {
                    return Result(answer, await answer.Content.ReadAsStringAsync());
                }
            }
            catch (HttpRequestException error)
            {
                throw new CallError(error.GetBaseException().Message, 0, default(JsonElement), TimeSpan.Zero);
            }
            catch (OperationCanceledException) when (!Interruption.IsCancellationRequested)
            {
                throw new CallError("no answer in time", 0, default(JsonElement), TimeSpan.Zero);
            }
        }
    }

    static JsonElement Result(HttpResponseMessage answer, string text)
    {
        if (answer.StatusCode == HttpStatusCode.NoContent) return default(JsonElement);
        var members = default(JsonElement);
        try
        {
            using (var document = JsonDocument.Parse(text)) members = document.RootElement.Clone();
        }
        catch (JsonException)
        {
        }
        // Members that you do not know may be added: leave them alone.
        if (answer.IsSuccessStatusCode && members.ValueKind == JsonValueKind.Object) return members;
        var status = (int)answer.StatusCode;
        var why = $"{status} {members.Text("code") ?? "without a problem of Relais"}";
        if (members.Text("support_code") != null) why += $", support code {members.Text("support_code")}";
        throw new CallError(why, status, members, answer.Headers.RetryAfter?.Delta ?? TimeSpan.Zero);
    }

    HttpRequestMessage Request(HttpMethod method, string path, AuthenticationHeaderValue authorization)
    {
        var request = new HttpRequestMessage(method, url + path);
        request.Headers.Authorization = authorization;
        request.Headers.Add("Accept-Language", language);
        return request;
    }

    public static bool IsOpen(JsonElement login) => login.Text("status") == "starting" || login.Text("status") == "pending";

    static string LoginPath(JsonElement login) => "/v1/logins/" + login.Text("login_id");

    static AuthenticationHeaderValue Bearer(string secret) => new AuthenticationHeaderValue("Bearer", secret);

    /// <summary>Trust in the roots of one PEM file, and in no others.</summary>
    static X509ChainPolicy Trusting(string caFile)
    {
        var policy = new X509ChainPolicy();
        policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        policy.RevocationMode = X509RevocationMode.NoCheck;
        policy.CustomTrustStore.ImportFromPemFile(caFile);
        return policy;
    }
}

/// <summary>Members of JSON objects. What is missing, null or of another kind reads as null, 0 or nothing.</summary>
static class Members
{
    public static JsonElement Member(this JsonElement json, string name)
    {
        JsonElement member;
        return json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out member) ? member : default(JsonElement);
    }

    public static string Text(this JsonElement json, string name)
    {
        var member = json.Member(name);
        return member.ValueKind == JsonValueKind.String ? member.GetString() : null;
    }

    public static long Seconds(this JsonElement json, string name)
    {
        var member = json.Member(name);
        return member.ValueKind == JsonValueKind.Number ? member.GetInt64() : 0;
    }
}

static class SignIn
{
    const int Session = 0, Failed = 1, Usage = 2, Cancelled = 13, AlreadyPending = 15;

    /// <summary>Exit codes by the words of Relais: a login's status or reason, a problem's code. A word added later is
    /// a failure.</summary>
    static readonly Dictionary<string, int> ExitCodes = new Dictionary<string, int>
    {
        ["login_hint_malformed"] = Usage,
        ["denied"] = 10,
        ["expired"] = 11,
        ["user_unknown"] = 12,
        ["cancelled"] = Cancelled,
        ["identity_mismatch"] = 14,
        ["already_pending"] = AlreadyPending,
        ["rate_limited"] = AlreadyPending,
        ["provider_unavailable"] = 16,
        ["outcome_unknown"] = 16,
        ["provider_rejected_client"] = 17,
        ["application_unauthenticated"] = 17,
        ["application_disabled"] = 17,
    };

    /// <summary>What your software does next. What the person reads is the user_message of Relais.</summary>
    static readonly Dictionary<int, string> Endings = new Dictionary<int, string>
    {
        [Failed] = "Failed: let the person try again, and have the support code ready for your help desk.",
        [Usage] = "Refused: let the person correct the identifier. No phone has rung.",
        [10] = "Denied: never start again by yourself; whoever says no has a reason.",
        [11] = "Expired: offer to start again.",
        [12] = "Unknown person: let the identifier be corrected.",
        [Cancelled] = "Cancelled: the phone is free for another login.",
        [14] = "Somebody else has confirmed: nobody is signed in.",
        [AlreadyPending] = "Too early: another login is under way for this person, or there were too many.",
        [16] = "The provider is unavailable: nothing is wrong here, try again in a few minutes.",
        [17] = "The application is refused: check its name and secret, then ask whoever operates Relais.",
    };

    /// <summary>From the start to the session's end. Gives the exit code.</summary>
    static async Task<int> SignInAsync(Relais relais, string loginHint, bool endAtOnce)
    {
        var key = Guid.NewGuid(); // One key for one attempt to sign in: one login, one ring.
        JsonElement? started = null, session = null;
        string handle = null;
        try
        {
            started = await relais.StartAsync(loginHint, key);
            Show(started.Value);
            var loginToken = started.Value.Text("login_token");
            var login = await relais.WaitAsync(started.Value, loginToken, Show);
            if (login.Text("status") != "approved")
            {
                return Ended(ExitCode(login.Text("reason"), login.Text("status")), login.Text("support_code"));
            }
            handle = (await relais.PickUpAsync(login, loginToken)).Text("session_handle");
            session = await relais.ReadSessionAsync(handle);
            if (session == null) return Ended(Failed);
            ShowPerson(session.Value);
            Console.Out.WriteLine(session.Value.GetRawText().Replace('\r', ' ').Replace('\n', ' '));
            await WorkdayAsync(endAtOnce, relais.Interruption);
        }
        catch (OperationCanceledException) when (relais.Interruption.IsCancellationRequested)
        {
            relais.Interruption = CancellationToken.None;
            if (handle == null)
            {
                // The start may have arrived even if its answer has not: the same key brings the same login.
                var login = started ?? await relais.StartAsync(loginHint, key);
                await relais.CancelAsync(login, login.Text("login_token"));
                return Ended(Cancelled);
            }
        }
        relais.Interruption = CancellationToken.None;
        await relais.EndSessionAsync(handle);
        if (endAtOnce && await relais.ReadSessionAsync(handle) == null)
        {
            Say("The handle is worth nothing any more: for another session, sign in again.");
        }
        return session == null ? Ended(Cancelled) : Session;
    }

    /// <summary>Shows the two digits, large, while there is something to compare, and the sentence of Relais.</summary>
    static void Show(JsonElement login)
    {
        if (Relais.IsOpen(login))
        {
            var digits = string.Join("   ", login.Text("binding_message").ToCharArray());
            var rule = "+" + new string('-', digits.Length + 6) + "+";
            Say($"\n    {rule}\n    |   {digits}   |\n    {rule}\n");
        }
        Say(login.Text("user_message"));
    }

    /// <summary>Shows who has signed in and where they practise. Their key in your database is (iss, sub).</summary>
    static void ShowPerson(JsonElement session)
    {
        var subject = session.Member("subject");
        Say($"Signed in: {subject.Text("name") ?? subject.Text("sub")}, until {session.Text("expires_at")} at the latest");
        var exercices = subject.Member("exercices");
        if (exercices.ValueKind != JsonValueKind.Array) return;
        foreach (var exercice in exercices.EnumerateArray())
        {
            var profession = exercice.Member("profession");
            var place = exercice.Member("site").Text("name") ?? "no place named";
            Say($"  {profession.Text("label") ?? profession.Text("code")}, {place}");
        }
    }

    /// <summary>Here your software works, until somebody closes it.</summary>
    static async Task WorkdayAsync(bool endAtOnce, CancellationToken interruption)
    {
        if (endAtOnce) return;
        Say("Press Enter to end the session.");
        var line = Task.Run(() => Console.In.ReadLine()); // Reading cannot be interrupted, waiting can.
        await Task.WhenAny(line, Task.Delay(Timeout.Infinite, interruption));
        interruption.ThrowIfCancellationRequested();
    }

    /// <summary>The exit code of the first word that has one.</summary>
    static int ExitCode(params string[] words)
    {
        var known = words.FirstOrDefault(word => word != null && ExitCodes.ContainsKey(word));
        return known == null ? Failed : ExitCodes[known];
    }

    static int Ended(int code, string supportCode = null)
    {
        Say(Endings[code] + (supportCode == null ? "" : $" [support code {supportCode}]"));
        return code;
    }

    /// <summary>Tells why a call brought nothing. Gives the exit code.</summary>
    static int Refused(CallError error)
    {
        var problem = error.Problem;
        Say($"{problem.Text("user_message") ?? "Relais cannot be reached."} [{error.Message}]");
        var code = ExitCode(problem.Text("reason"), problem.Text("login_status"), problem.Text("code"));
        if (code == AlreadyPending)
        {
            Say($"Try again in {Math.Max(problem.Seconds("expires_in"), (long)error.RetryAfter.TotalSeconds)} s.");
        }
        return Ended(code);
    }

    public static void Say(string text) => Console.Error.WriteLine(text);

    static async Task<int> Main(string[] arguments)
    {
        Console.OutputEncoding = new UTF8Encoding(false);
        Func<string, string> setting = name =>
        {
            var value = Environment.GetEnvironmentVariable(name);
            return string.IsNullOrEmpty(value) ? null : value;
        };
        string url = setting("RELAIS_URL"), application = setting("RELAIS_APPLICATION"), secret = setting("RELAIS_SECRET");
        var hints = arguments.Where(argument => argument != "--end").ToArray();
        if (hints.Length != 1 || hints[0].StartsWith("-") || url == null || application == null || secret == null)
        {
            Say("usage: RELAIS_URL=… RELAIS_APPLICATION=… RELAIS_SECRET=… [RELAIS_CA=…] SignIn [--end] LOGIN_HINT");
            return Usage;
        }
        Uri server;
        if (!Uri.TryCreate(url, UriKind.Absolute, out server)
            || !(server.Scheme == "https" || server.Scheme == "http" && server.IsLoopback))
        {
            Say("RELAIS_URL: https://…, or http://… on this machine: it carries a secret");
            return Usage;
        }
        var language = (setting("LANG") ?? "C").Split('.')[0].Replace('_', '-');
        if (language == "C" || language == "POSIX") language = "fr";

        Relais relais;
        try
        {
            relais = new Relais(url, application, secret, setting("RELAIS_CA"), language);
        }
        catch (Exception error) when (error is IOException || error is CryptographicException)
        {
            Say($"RELAIS_CA: {error.Message}");
            return Usage;
        }
        using (var interruption = new CancellationTokenSource())
        using (Interrupting(PosixSignal.SIGINT, interruption))
        using (Interrupting(PosixSignal.SIGTERM, interruption))
        {
            relais.Interruption = interruption.Token;
            try
            {
                return await SignInAsync(relais, hints[0], endAtOnce: arguments.Contains("--end"));
            }
            catch (CallError error)
            {
                return Refused(error);
            }
        }
    }

    /// <summary>The first Ctrl-C or SIGTERM cancels what is under way; the next one is obeyed without more ado.</summary>
    static PosixSignalRegistration Interrupting(PosixSignal signal, CancellationTokenSource interruption)
    {
        return PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = !interruption.IsCancellationRequested;
            interruption.Cancel();
        });
    }
}
