/**
 * Who looks at the page: a token of the application's own backend, which Convex knows as a customJwt provider (see
 * ../convex/auth.config.ts). With Convex Auth, Clerk or Auth0 it is their provider instead, and this file goes.
 */
import { useMemo, useState } from "react";

/** Convex asks for a token when it connects, and with `forceRefreshToken` before the one it has expires. */
export function useBackendAuth() {
  const [isAuthenticated, setAuthenticated] = useState(true);
  return useMemo(
    () => ({
      isLoading: false,
      isAuthenticated,
      fetchAccessToken: async (): Promise<string | null> => {
        const answer = await fetch("/token", { credentials: "same-origin" }); // by the backend's own session
        setAuthenticated(answer.ok);
        return answer.ok ? await answer.text() : null;
      },
    }),
    [isAuthenticated],
  );
}
