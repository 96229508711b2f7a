// Signs one person in through Relais, as the software of a practice does. Delphi 10.4 or later, Windows, its own RTL.
//
//     set RELAIS_URL=http://127.0.0.1:8080
//     set RELAIS_APPLICATION=demo
//     set RELAIS_SECRET=demo
//     SignIn.exe 899700000001
//
// The class TRelais is what you would copy: Start, Wait, PickUp, ReadSession, EndSession, Cancel. The rest is a console
// program around it. In a program with windows, call it from a thread. The steps, the settings and the exit codes are in
// ..\README.md.
program SignIn;

{$APPTYPE CONSOLE}

uses
  Winapi.Windows, // First: System.SysUtils has a better GetEnvironmentVariable.
  System.SysUtils,
  System.Classes,
  System.SyncObjs,
  System.JSON,
  System.NetEncoding,
  System.Net.URLClient,
  System.Net.HttpClient;

const
  WaitTime = 25; // Seconds that one call waits at the server: some proxies cut after 30.
  AnswerTimeout = 20; // Seconds for an answer, beyond that: a start alone may take 10.
  Patience = 30; // Seconds during which a call without an answer is repeated.
  Margin = 10; // Seconds that a silent server is still asked after the login's own end.

  ExitSession = 0;
  ExitFailed = 1;
  ExitUsage = 2;
  ExitCancelled = 13;
  ExitAlreadyPending = 15;

type
  // An object of an answer. What is missing reads as an empty text, 0 or nil.
  IMembers = interface
    function Text(const Name: string): string;
    function Number(const Name: string): Int64;
    function Json: TJSONObject;
    function Source: string;
  end;

  TMembers = class(TInterfacedObject, IMembers)
  private
    FJson: TJSONObject;
    FSource: string;
  public
    constructor Create(const Source: string);
    destructor Destroy; override;
    function Text(const Name: string): string;
    function Number(const Name: string): Int64;
    function Json: TJSONObject;
    function Source: string;
  end;

  // A call without a result: no answer came (Status 0), or a refusal with its problem (RFC 9457).
  ECallError = class(Exception)
  public
    Status, RetryAfter: Integer;
    Problem: IMembers;
    function Code: string;
    function SessionHasEnded: Boolean;
  end;

  // Ctrl-C, or the console window is being closed.
  EInterrupted = class(Exception);

  TChange = procedure(const Login: IMembers);

  // One call, in a thread of its own, so that whoever waits for it can be interrupted.
  TCall = class(TThread)
  private
    FMethod, FUrl, FBody: string;
    FHeaders: TNetHeaders;
    FTimeout: Integer;
  protected
    procedure Execute; override;
  public
    Status: Integer;
    Text, RetryAfter, Error: string;
    constructor Create(const Method, Url, Body: string; const Headers: TNetHeaders; TimeoutSeconds: Integer);
  end;

  // The calls. Each may be repeated without harm, so each is, where an answer is lost.
  TRelais = class
  private
    FUrl, FBasic, FLanguage: string;
    function Call(const Method, Path, Authorization, Body: string; const More: TNetHeaders; Wait: Integer): IMembers;
    function Repeated(PatienceSeconds: Int64; const Method, Path, Authorization: string; const Body: string = '';
      const More: TNetHeaders = nil; Wait: Integer = 0): IMembers;
  public
    constructor Create(const Url, Application, Secret, Language: string);
    function Start(const LoginHint, Key: string): IMembers;
    function Wait(const Started: IMembers; OnChange: TChange): IMembers;
    function PickUp(const Login: IMembers; const LoginToken: string): IMembers;
    function ReadSession(const Handle: string): IMembers;
    procedure EndSession(const Handle: string);
    procedure Cancel(const Login: IMembers; const LoginToken: string);
  end;

var
  Interruption: TEvent;

procedure Say(const Text: string);
begin
  Writeln(ErrOutput, Text);
  Flush(ErrOutput);
end;

procedure Pause(Milliseconds: Cardinal);
begin
  if Interruption.WaitFor(Milliseconds) = wrSignaled then
    raise EInterrupted.Create('interrupted');
end;

// A member of any object; nil where there is none.
function MemberOf(Json: TJSONObject; const Name: string): TJSONValue;
begin
  Result := nil;
  if Json <> nil then
    Result := Json.Values[Name];
end;

function ObjectOf(Json: TJSONObject; const Name: string): TJSONObject;
begin
  Result := nil;
  if MemberOf(Json, Name) is TJSONObject then
    Result := TJSONObject(MemberOf(Json, Name));
end;

function TextOf(Json: TJSONObject; const Name: string): string;
begin
  Result := '';
  if (MemberOf(Json, Name) <> nil) and not (MemberOf(Json, Name) is TJSONNull) then
    Result := MemberOf(Json, Name).Value;
end;

{ TMembers }

constructor TMembers.Create(const Source: string);
var
  Value: TJSONValue;
begin
  FSource := Source;
  Value := TJSONObject.ParseJSONValue(Source);
  if Value is TJSONObject then
    FJson := TJSONObject(Value)
  else
    Value.Free;
end;

destructor TMembers.Destroy;
begin
  FJson.Free;
  inherited;
end;

function TMembers.Text(const Name: string): string;
begin
  Result := TextOf(FJson, Name);
end;

function TMembers.Number(const Name: string): Int64;
begin
  Result := StrToInt64Def(Text(Name), 0);
end;

function TMembers.Json: TJSONObject;
begin
  Result := FJson;
end;

function TMembers.Source: string;
begin
  Result := FSource;
end;

{ ECallError }

function ECallError.Code: string;
begin
  Result := Problem.Text('code');
end;

function ECallError.SessionHasEnded: Boolean;
begin
  Result := (Code = 'session_ended') or (Code = 'handle_invalid');
end;

{ TCall }

constructor TCall.Create(const Method, Url, Body: string; const Headers: TNetHeaders; TimeoutSeconds: Integer);
begin
  FMethod := Method;
  FUrl := Url;
  FBody := Body;
  FHeaders := Headers;
  FTimeout := 1000 * TimeoutSeconds;
  inherited Create(False);
end;

procedure TCall.Execute;
var
  Client: THTTPClient;
  Content: TStringStream;
  Answer: IHTTPResponse;
begin
  Client := THTTPClient.Create;
  Content := TStringStream.Create(FBody, TEncoding.UTF8);
  try
    try
      Client.HandleRedirects := False; // A secret has one addressee.
      Client.ConnectionTimeout := 10000;
      Client.SendTimeout := 10000;
      Client.ResponseTimeout := FTimeout;
      if FMethod = 'POST' then
        Answer := Client.Post(FUrl, Content, nil, FHeaders)
      else if FMethod = 'DELETE' then
        Answer := Client.Delete(FUrl, nil, FHeaders)
      else
        Answer := Client.Get(FUrl, nil, FHeaders);
      Text := Answer.ContentAsString(TEncoding.UTF8);
      RetryAfter := Answer.HeaderValue['Retry-After'];
      Status := Answer.StatusCode;
    except
      on Failure: Exception do // Status stays 0: no answer.
        Error := Failure.ClassName + ': ' + Failure.Message;
    end;
  finally
    Content.Free;
    Client.Free;
  end;
end;

{ TRelais }

function Bearer(const Secret: string): string;
begin
  Result := 'Bearer ' + Secret;
end;

function PathOf(const Login: IMembers): string;
begin
  Result := '/v1/logins/' + Login.Text('login_id');
end;

function IsOpen(const Login: IMembers): Boolean;
begin
  Result := (Login.Text('status') = 'starting') or (Login.Text('status') = 'pending');
end;

constructor TRelais.Create(const Url, Application, Secret, Language: string);
var
  Base64: TBase64Encoding;
  Pair: string;
begin
  FUrl := Url;
  while (FUrl <> '') and (FUrl[Length(FUrl)] = '/') do
    SetLength(FUrl, Length(FUrl) - 1);
  FLanguage := Language;
  // Name and secret are form-encoded before they are joined (RFC 6749, 2.3.1).
  Pair := TNetEncoding.URL.Encode(Application) + ':' + TNetEncoding.URL.Encode(Secret);
  Base64 := TBase64Encoding.Create(0); // The shared TNetEncoding.Base64 breaks lines after 76 characters.
  try
    FBasic := 'Basic ' + Base64.EncodeBytesToString(TEncoding.UTF8.GetBytes(Pair));
  finally
    Base64.Free;
  end;
end;

// Rings the person's phone. With the same key, it is the same login however often it is asked for.
function TRelais.Start(const LoginHint, Key: string): IMembers;
var
  Body: TJSONObject;
begin
  Body := TJSONObject.Create;
  try
    Body.AddPair('login_hint', LoginHint);
    Result := Repeated(Patience, 'POST', '/v1/logins', FBasic, Body.ToJSON,
      TNetHeaders.Create(TNameValuePair.Create('Idempotency-Key', Key)));
  finally
    Body.Free;
  end;
end;

// Follows a login until somebody has decided.
function TRelais.Wait(const Started: IMembers; OnChange: TChange): IMembers;
var
  Known: Int64;
  AskedAt: UInt64;
  LoginToken: string;
begin
  LoginToken := Started.Text('login_token');
  Result := Started;
  while IsOpen(Result) do
  begin
    Known := Result.Number('version');
    AskedAt := GetTickCount64;
    // Answered at once if the version is no longer this one: no change falls between two calls.
    Result := Repeated(Result.Number('expires_in') + Margin, 'GET', PathOf(Result), Bearer(LoginToken), '',
      TNetHeaders.Create(TNameValuePair.Create('Prefer', 'wait=' + IntToStr(WaitTime)),
        TNameValuePair.Create('If-None-Match', '"' + IntToStr(Known) + '"')), WaitTime);
    if Result.Number('version') <> Known then
      OnChange(Result)
    else if GetTickCount64 - AskedAt < 1000 then
      Pause(1000); // A server that shuts down answers early: ask the next one, but not in a tight loop.
  end;
end;

// Turns an approved login into a session. A repetition brings another handle, of the same session.
function TRelais.PickUp(const Login: IMembers; const LoginToken: string): IMembers;
begin
  Result := Repeated(Patience, 'POST', PathOf(Login) + '/session', Bearer(LoginToken));
end;

// Who it is and until when, or nil once it has ended. Reading it is a use, which postpones the idle end.
function TRelais.ReadSession(const Handle: string): IMembers;
begin
  try
    Result := Repeated(Patience, 'GET', '/v1/session', Bearer(Handle));
  except
    on Error: ECallError do
    begin
      // Every call with a handle may be told this, and it always means: sign in again.
      if not Error.SessionHasEnded then
        raise;
      Say(Error.Problem.Text('user_message') + ' [' + Error.Message + ']');
      Result := nil;
    end;
  end;
end;

// Ends a session. One that has ended already is as good.
procedure TRelais.EndSession(const Handle: string);
begin
  try
    Repeated(Patience, 'DELETE', '/v1/session', Bearer(Handle));
  except
    on Error: ECallError do
      if not Error.SessionHasEnded then
        raise;
  end;
end;

// Gives a login up, or the session that it has led to meanwhile.
procedure TRelais.Cancel(const Login: IMembers; const LoginToken: string);
begin
  try
    Repeated(Patience, 'DELETE', PathOf(Login), Bearer(LoginToken));
  except
    on Error: ECallError do
    begin
      if Error.Code <> 'already_picked_up' then
        raise;
      EndSession(PickUp(Login, LoginToken).Text('session_handle'));
    end;
  end;
end;

// Makes a call, and the very same call again while no answer comes.
function TRelais.Repeated(PatienceSeconds: Int64; const Method, Path, Authorization: string; const Body: string;
  const More: TNetHeaders; Wait: Integer): IMembers;
var
  BegunAt: UInt64;
  Delay: Int64;
begin
  BegunAt := GetTickCount64;
  Delay := 250;
  while True do
  begin
    try
      Exit(Call(Method, Path, Authorization, Body, More, Wait));
    except
      on Error: ECallError do
      begin
        if Delay < 1000 * Int64(Error.RetryAfter) then
          Delay := 1000 * Int64(Error.RetryAfter);
        // Any other refusal would be the same the next time.
        if (Error.Status <> 0) and ((Error.Status < 502) or (Error.Status > 504)) then
          raise;
        if Int64(GetTickCount64 - BegunAt) + Delay > 1000 * PatienceSeconds then
          raise;
        Say('No answer yet, trying again [' + Error.Message + ']');
      end;
    end;
    Pause(Delay);
    Delay := 2 * Delay;
    if Delay > 2000 then
      Delay := 2000;
  end;
end;

// Makes a call once.
function TRelais.Call(const Method, Path, Authorization, Body: string; const More: TNetHeaders; Wait: Integer): IMembers;
var
  Sent: TCall;
  Headers: TNetHeaders;
  Error: ECallError;
begin
  Headers := TNetHeaders.Create(TNameValuePair.Create('Authorization', Authorization),
    TNameValuePair.Create('Accept-Language', FLanguage));
  if Body <> '' then
    Headers := Headers + TNetHeaders.Create(TNameValuePair.Create('Content-Type', 'application/json'));
  Sent := TCall.Create(Method, FUrl + Path, Body, Headers + More, AnswerTimeout + Wait);
  // Whoever interrupts leaves the thread behind: the program ends soon after.
  while not Sent.Finished do
    Pause(20);
  try
    Result := TMembers.Create(Sent.Text);
    // Members that you do not know may be added: leave them alone.
    if (Sent.Status = 204) or (Sent.Status div 100 = 2) and (Result.Json <> nil) then
      Exit;
    Error := ECallError.Create(Sent.Error);
    Error.Status := Sent.Status;
    Error.RetryAfter := StrToIntDef(Sent.RetryAfter, 0);
    Error.Problem := Result;
    if (Error.Status <> 0) and (Error.Code = '') then
      Error.Message := IntToStr(Error.Status) + ' without a problem of Relais'
    else if Error.Status <> 0 then
      Error.Message := Format('%d %s, support code %s', [Error.Status, Error.Code, Result.Text('support_code')]);
    raise Error;
  finally
    Sent.Free;
  end;
end;

// The exit code of a word of Relais: a login's status or reason, a problem's code. A word added later is a failure.
function ExitCodeOf(const Said: string): Integer;
const
  Words: array[0..12] of string = ('login_hint_malformed', 'denied', 'expired', 'user_unknown', 'cancelled',
    'identity_mismatch', 'already_pending', 'rate_limited', 'provider_unavailable', 'outcome_unknown',
    'provider_rejected_client', 'application_unauthenticated', 'application_disabled');
  Codes: array[0..12] of Integer = (ExitUsage, 10, 11, 12, ExitCancelled,
    14, ExitAlreadyPending, ExitAlreadyPending, 16, 16,
    17, 17, 17);
var
  I: Integer;
begin
  for I := Low(Words) to High(Words) do
    if Words[I] = Said then
      Exit(Codes[I]);
  Result := ExitFailed;
end;

// What your software does next. What the person reads is the user_message of Relais.
function Ended(Code: Integer; const SupportCode: string = ''): Integer;
var
  Ending: string;
begin
  case Code of
    ExitUsage: Ending := 'Refused: let the person correct the identifier. No phone has rung.';
    10: Ending := 'Denied: never start again by yourself; whoever says no has a reason.';
    11: Ending := 'Expired: offer to start again.';
    12: Ending := 'Unknown person: let the identifier be corrected.';
    ExitCancelled: Ending := 'Cancelled: the phone is free for another login.';
    14: Ending := 'Somebody else has confirmed: nobody is signed in.';
    ExitAlreadyPending: Ending := 'Too early: another login is under way for this person, or there were too many.';
    16: Ending := 'The provider is unavailable: nothing is wrong here, try again in a few minutes.';
    17: Ending := 'The application is refused: check its name and secret, then ask whoever operates Relais.';
  else
    Ending := 'Failed: let the person try again, and have the support code ready for your help desk.';
  end;
  if SupportCode <> '' then
    Ending := Ending + ' [support code ' + SupportCode + ']';
  Say(Ending);
  Result := Code;
end;

// Tells why a call brought nothing. Gives the exit code.
function Refused(Error: ECallError): Integer;
begin
  if Error.Problem.Text('user_message') <> '' then
    Say(Error.Problem.Text('user_message') + ' [' + Error.Message + ']')
  else
    Say('Relais cannot be reached. [' + Error.Message + ']');
  // Why a login has ended meanwhile, else what is wrong with the call.
  Result := ExitCodeOf(Error.Problem.Text('reason'));
  if Result = ExitFailed then
    Result := ExitCodeOf(Error.Problem.Text('login_status'));
  if Result = ExitFailed then
    Result := ExitCodeOf(Error.Code);
  if Result = ExitAlreadyPending then
    if Error.Problem.Number('expires_in') > 0 then
      Say('Try again in ' + Error.Problem.Text('expires_in') + ' s.')
    else
      Say('Try again in ' + IntToStr(Error.RetryAfter) + ' s.');
  Ended(Result);
end;

// Shows the two digits, large, while there is something to compare, and the sentence of Relais.
procedure Show(const Login: IMembers);
var
  Digits, Rule, Code: string;
  I: Integer;
begin
  if IsOpen(Login) then
  begin
    Code := Login.Text('binding_message');
    for I := 1 to Length(Code) do
      Digits := Digits + '   ' + Code[I];
    Rule := '    +' + StringOfChar('-', Length(Digits) + 3) + '+';
    Say('');
    Say(Rule);
    Say('    |' + Digits + '   |');
    Say(Rule);
    Say('');
  end;
  Say(Login.Text('user_message'));
end;

// Shows who has signed in and where they practise. The key of a person in your database is (iss, sub).
procedure ShowPerson(const Session: IMembers);
var
  Subject, Exercice, Profession: TJSONObject;
  Exercices: TJSONArray;
  Name, Trade, Site: string;
  I: Integer;
begin
  Subject := ObjectOf(Session.Json, 'subject');
  Name := TextOf(Subject, 'name');
  if Name = '' then
    Name := TextOf(Subject, 'sub');
  Say('Signed in: ' + Name + ', until ' + Session.Text('expires_at') + ' at the latest');
  if not (MemberOf(Subject, 'exercices') is TJSONArray) then
    Exit;
  Exercices := TJSONArray(MemberOf(Subject, 'exercices'));
  for I := 0 to Exercices.Count - 1 do
  begin
    Exercice := Exercices.Items[I] as TJSONObject;
    Profession := ObjectOf(Exercice, 'profession');
    Trade := TextOf(Profession, 'label');
    if Trade = '' then
      Trade := TextOf(Profession, 'code');
    Site := TextOf(ObjectOf(Exercice, 'site'), 'name');
    if Site = '' then
      Site := 'no place named';
    Say('  ' + Trade + ', ' + Site);
  end;
end;

// Here your software works, until somebody closes it.
procedure Workday(EndAtOnce: Boolean);
begin
  if EndAtOnce then
    Exit;
  Say('Press Enter to end the session.');
  try
    Readln;
  except
    on EInOutError do; // A closed input, or Ctrl-C: as good as a line.
  end;
end;

// From the start to the session's end. Gives the exit code.
function SignInOnce(Relais: TRelais; const LoginHint: string; EndAtOnce: Boolean): Integer;
var
  Started, Login, Session: IMembers;
  Id: TGUID;
  Key, Handle: string;
begin
  CreateGUID(Id);
  Key := Copy(GUIDToString(Id), 2, 36); // One key for one attempt to sign in: one login, one ring.
  try
    Started := Relais.Start(LoginHint, Key);
    Show(Started);
    Login := Relais.Wait(Started, Show);
    if Login.Text('status') <> 'approved' then
    begin
      Result := ExitCodeOf(Login.Text('reason'));
      if Result = ExitFailed then
        Result := ExitCodeOf(Login.Text('status'));
      Exit(Ended(Result, Login.Text('support_code')));
    end;
    Handle := Relais.PickUp(Login, Started.Text('login_token')).Text('session_handle');
    Session := Relais.ReadSession(Handle);
    if Session = nil then
      Exit(Ended(ExitFailed));
    ShowPerson(Session);
    Writeln(StringReplace(StringReplace(Session.Source, #13, ' ', [rfReplaceAll]), #10, ' ', [rfReplaceAll]));
    Flush(Output);
    Workday(EndAtOnce);
  except
    on EInterrupted do
    begin
      Interruption.ResetEvent;
      if Handle = '' then
      begin
        // The start may have arrived even if its answer has not: the same key brings the same login.
        if Started = nil then
          Started := Relais.Start(LoginHint, Key);
        Relais.Cancel(Started, Started.Text('login_token'));
        Exit(Ended(ExitCancelled));
      end;
    end;
  end;
  Interruption.ResetEvent;
  Relais.EndSession(Handle);
  if EndAtOnce and (Relais.ReadSession(Handle) = nil) then
    Say('The handle is worth nothing any more: for another session, sign in again.');
  if Session = nil then
    Result := Ended(ExitCancelled)
  else
    Result := ExitSession;
end;

// Windows calls this in a thread of its own.
function OnConsole(Event: DWORD): BOOL; stdcall;
begin
  Interruption.SetEvent;
  if Event <> CTRL_C_EVENT then
    Sleep(INFINITE); // The window is being closed: the process would end with this function.
  Result := True;
end;

function Run: Integer;
var
  Url, Application, Secret, Language, LoginHint, Argument: string;
  EndAtOnce: Boolean;
  Relais: TRelais;
  Hints, I: Integer;
begin
  Url := GetEnvironmentVariable('RELAIS_URL');
  Application := GetEnvironmentVariable('RELAIS_APPLICATION');
  Secret := GetEnvironmentVariable('RELAIS_SECRET');
  EndAtOnce := False;
  Hints := 0;
  for I := 1 to ParamCount do
  begin
    Argument := ParamStr(I);
    if Argument = '--end' then
      EndAtOnce := True
    else
    begin
      LoginHint := Argument;
      Inc(Hints);
    end;
  end;
  if (Hints <> 1) or (Copy(LoginHint, 1, 1) = '-') or (Url = '') or (Application = '') or (Secret = '') then
  begin
    Say('usage: SignIn [--end] LOGIN_HINT, with RELAIS_URL, RELAIS_APPLICATION and RELAIS_SECRET in the environment');
    Exit(ExitUsage);
  end;
  if (Pos('https://', Url) <> 1) and (Pos('http://127.0.0.1:', Url) <> 1) and (Pos('http://localhost:', Url) <> 1) then
  begin
    Say('RELAIS_URL: https://..., or http://... on this machine: it carries a secret');
    Exit(ExitUsage);
  end;
  if GetEnvironmentVariable('RELAIS_CA') <> '' then
  begin
    Say('RELAIS_CA: Windows decides whom to trust; add the certificate to its trusted roots instead');
    Exit(ExitUsage);
  end;
  Language := GetEnvironmentVariable('LANG');
  if Pos('.', Language) > 0 then
    Language := Copy(Language, 1, Pos('.', Language) - 1);
  Language := StringReplace(Language, '_', '-', [rfReplaceAll]);
  if (Language = '') or (Language = 'C') or (Language = 'POSIX') then
    Language := 'fr';

  SetConsoleCtrlHandler(@OnConsole, True);
  Relais := TRelais.Create(Url, Application, Secret, Language);
  try
    try
      Result := SignInOnce(Relais, LoginHint, EndAtOnce);
    except
      on Error: ECallError do
        Result := Refused(Error);
    end;
  finally
    Relais.Free;
  end;
end;

begin
  SetConsoleOutputCP(CP_UTF8);
  SetTextCodePage(Output, CP_UTF8);
  SetTextCodePage(ErrOutput, CP_UTF8);
  Interruption := TEvent.Create(nil, True, False, '');
  ExitCode := Run;
end.
